/* @about */
#include "net_plan.h"

#include <limits.h>

#define NET_ASSERT(name, condition) typedef char net_assert_##name[(condition) ? 1 : -1]
#define NET_LENGTH(array) (sizeof(array) / sizeof(array)[0])

NET_ASSERT(bytes_have_8_bits, CHAR_BIT == 8);

/* @arenas */

/* A place is a byte, place_offsets, of a block, place_blocks: an arena, or a buffer behind the arenas. */
/* @places */

unsigned char *net_address(uint32_t place)
{
#if NET_ARENAS + NET_BUFFERS == 1
    const uint32_t block = 0;
#else
    const uint32_t block = place_blocks[place];
#endif
#if NET_BUFFERS == 0
    unsigned char *const base = arenas[block];
#elif NET_ARENAS == 0
    unsigned char *const base = net_buffers[block];
#else
    unsigned char *const base = block < NET_ARENAS ? arenas[block] : net_buffers[block - NET_ARENAS];
#endif
    return base + place_offsets[place];
}

#if NET_COPIES > 0
/* Copies are told from place to place; those that begin before a step stand together, from first_copy on. */
/* @copies */

static net_copy copy_of(uint32_t number)
{
    net_copy copy;
    copy.number = number;
#if NET_QUEUES > 1
    copy.queue = copy_queues[number];
#else
    copy.queue = 0;
#endif
    copy.destination = net_address(copy_destinations[number]);
    copy.source = net_address(copy_sources[number]);
    copy.bytes = (size_t)copy_bytes[number];
    return copy;
}

static void start_copy(uint32_t number, const net_dma *dma)
{
    const net_copy copy = copy_of(number);
    dma->start(dma->context, &copy);
}

static void wait_for_copy(uint32_t number, const net_dma *dma)
{
    const net_copy copy = copy_of(number);
    if (dma->wait != NULL)
        dma->wait(dma->context, &copy);
}
#endif

#if NET_COPIES == 0
void net_step(uint32_t step, const net_dma *dma)
{
    (void)step;
    (void)dma;
}
#elif NET_COPIES_BESIDE == 0
void net_step(uint32_t step, const net_dma *dma)
{
    uint32_t k;
    for (k = first_copy[step]; k < first_copy[step + 1]; k++) {
        start_copy(k, dma);
        wait_for_copy(k, dma);
    }
}
#else
/* Some copies run beside ops, copy_beside, and a later step waits for them: due_copies, from first_due on. What is due
   is awaited before others start, since these may read what it made, or fill what it read. */
/* @dues */

void net_step(uint32_t step, const net_dma *dma)
{
    uint32_t k;
    for (k = first_due[step]; k < first_due[step + 1]; k++)
        wait_for_copy(due_copies[k], dma);
    for (k = first_copy[step]; k < first_copy[step + 1]; k++) {
        start_copy(k, dma);
        if (!copy_beside[k])
            wait_for_copy(k, dma);
    }
}
#endif

#ifndef NET_NO_SCHEDULE
/* @schedule */
#endif

#ifndef NET_NO_OPERANDS
/* The places of what each step's op reads and writes, from first_operand on. */
/* @operands */

uint32_t net_operands(uint32_t step, void *operands[NET_MOST_OPERANDS])
{
    const uint32_t first = first_operand[step];
    const uint32_t count = first_operand[step + 1] - first;
    uint32_t k;
    for (k = 0; k < count; k++)
        operands[k] = net_address(operand_places[first + k]);
    return count;
}
#endif

#ifdef NET_WITH_NAMES
const char *const net_tensor_names[NET_TENSORS] = {
/* @tensor_names */
};
const char *const net_op_names[NET_OPS] = {
/* @op_names */
};
#endif

#ifdef NET_WITH_SIZES
/* @sizes */
#endif
