/* @about */
/* A test for the host: it replays the plan as net_plan.c tells it, with nothing but the network's own facts below, and
   fails if an op or an output does not find what it asks for. Compile it together with net_plan.c, and run it.

   Every byte of the network has a number. Beside each memory lie cells, which hold the number of the byte that lies at
   an address, or 0. An op writes the numbers of its outputs there, a copy moves them, and whoever reads sees that they
   are right. Copies take as long as they may: until it is awaited, what a copy fills holds nothing, and must stay so,
   and what it reads must stay as it is.

   With any word after its name the test tells which op it executes at each step. */
#include "net_plan.h"

#include <stdio.h>

/* @cell */
typedef struct {
    const char *name;
    unsigned char *bytes;
    cell *cells;
    size_t count;
    size_t alignment;
} block;

/* The network: each tensor's bytes, the number of its first one, and what its address is a multiple of (0: of nothing);
   each op's operands, first what it reads, where they begin and how many it reads; which outputs it may write over which
   operands; and the ops that come before it. */
/* @network */

/* Inputs and constants that are there before the first step, and outputs, with their places. */
/* @given */

/* Blocks of memory, and the buffers that the plan asks for, in a block of their own. */
/* @blocks */

static size_t used[sizeof blocks / sizeof blocks[0]];
static unsigned long violations;
static unsigned long reads;
static uint32_t now;
static unsigned char executed[NET_OPS];
static int telling;

static void report(const char *what, const char *whose)
{
    violations++;
    if (violations <= 20)
        printf("violation: step %lu: %s: %s\n", (unsigned long)now, whose, what);
}

/* The block in which all these bytes lie; NULL where there is none. */
static const block *block_of(const void *address, size_t bytes)
{
    const uintptr_t at = (uintptr_t)address;
    size_t k;
    for (k = 0; k < sizeof blocks / sizeof blocks[0]; k++) {
        const uintptr_t base = (uintptr_t)blocks[k].bytes;
        if (at >= base && at - base <= blocks[k].count && bytes <= blocks[k].count - (at - base))
            return &blocks[k];
    }
    return NULL;
}

/* The cells of these bytes; NULL where they lie in no block. */
static cell *cells_of(const void *address, size_t bytes)
{
    const block *const found = block_of(address, bytes);
    return found == NULL ? NULL : found->cells + ((uintptr_t)address - (uintptr_t)found->bytes);
}

/* The same where these bytes are to be written: how far a block is used shows. */
static cell *cells_to_fill(const void *address, size_t bytes)
{
    const block *const found = block_of(address, bytes);
    if (found != NULL) {
        const size_t end = (size_t)((uintptr_t)address - (uintptr_t)found->bytes) + bytes;
        if (bytes > 0 && end > used[found - blocks])
            used[found - blocks] = end;
    }
    return cells_of(address, bytes);
}

/* Whether the cells hold so many bytes of the network, from this one on. */
static int holds(const cell *cells, cell first, size_t bytes)
{
    size_t k;
    for (k = 0; k < bytes; k++)
        if (cells[k] != (cell)(first + k))
            return 0;
    return 1;
}

static void fill(cell *cells, cell first, size_t bytes)
{
    size_t k;
    for (k = 0; k < bytes; k++)
        cells[k] = (cell)(first + k);
}

static void read_tensor(const void *address, uint32_t tensor)
{
    const size_t bytes = (size_t)tensor_bytes[tensor];
    const cell *const cells = cells_of(address, bytes);
    reads++;
    if (cells == NULL)
        report("is read outside its memory", tensor_names[tensor]);
    else if (!holds(cells, tensor_first[tensor], bytes))
        report("is read where other bytes lie", tensor_names[tensor]);
}

static void write_tensor(const void *address, uint32_t tensor)
{
    const size_t bytes = (size_t)tensor_bytes[tensor];
    cell *const cells = cells_to_fill(address, bytes);
    if (cells == NULL)
        report("is written outside its memory", tensor_names[tensor]);
    else
        fill(cells, tensor_first[tensor], bytes);
}

static void check_alignment(const void *address, uint32_t tensor)
{
    const block *const found = block_of(address, 0);
    const uintptr_t at = (uintptr_t)address;
    if (tensor_alignment[tensor] == 0 || found == NULL)
        return;
    if (at % tensor_alignment[tensor] != 0 || (at - (uintptr_t)found->bytes) % found->alignment != 0)
        report("is not aligned", tensor_names[tensor]);
}

static int overlap(const void *a, size_t a_bytes, const void *b, size_t b_bytes)
{
    const uintptr_t at = (uintptr_t)a, other = (uintptr_t)b;
    return a_bytes > 0 && b_bytes > 0 && at < other + b_bytes && other < at + a_bytes;
}

/* Whether the op can write the output over the bytes of what it reads. */
static int may_overwrite(uint32_t op, uint32_t output, uint32_t operand)
{
    uint32_t k;
    for (k = first_pair[op]; k < first_pair[op + 1]; k++)
        if (pair_outputs[k] == output && tensor_first[pair_operands[k]] == tensor_first[operand] &&
            tensor_bytes[output] == tensor_bytes[operand])
            return 1;
    return 0;
}

static void execute(uint32_t step)
{
    void *operands[NET_MOST_OPERANDS];
    const uint32_t op = net_schedule[step];
    const uint32_t first = first_tensor[op];
    const uint32_t count = first_tensor[op + 1] - first;
    uint32_t k, j;
    executed[op] = 1;
    if (telling)
        printf("step %lu: op %lu\n", (unsigned long)step, (unsigned long)op);
    for (k = first_before[op]; k < first_before[op + 1]; k++)
        if (!executed[before_ops[k]])
            report("comes after an op that did not run yet", op_names[op]);
    if (net_operands(step, operands) != count) {
        report("has other operands", op_names[op]);
        return;
    }
    for (k = 0; k < count; k++) {
        check_alignment(operands[k], op_tensors[first + k]);
        if (k < op_reads[op])
            read_tensor(operands[k], op_tensors[first + k]);
    }
    for (k = op_reads[op]; k < count; k++) {
        const uint32_t output = op_tensors[first + k];
        for (j = 0; j < k; j++) {
            const uint32_t other = op_tensors[first + j];
            if (overlap(operands[k], (size_t)tensor_bytes[output], operands[j], (size_t)tensor_bytes[other]) &&
                !(operands[k] == operands[j] && j < op_reads[op] && may_overwrite(op, output, other)))
                report("is written over another operand", tensor_names[output]);
        }
    }
    for (k = op_reads[op]; k < count; k++)
        write_tensor(operands[k], op_tensors[first + k]);
}

#if NET_COPIES > 0
static unsigned char started[NET_COPIES];
static unsigned char finished[NET_COPIES];
static cell copied[NET_COPIES];

static void start(void *context, const net_copy *copy)
{
    const cell *const source = cells_of(copy->source, copy->bytes);
    cell *const destination = cells_to_fill(copy->destination, copy->bytes);
    size_t k;
    (void)context;
    if (source == NULL || destination == NULL || started[copy->number]) {
        report("goes outside its memory, or is made twice", "a copy");
        return;
    }
    started[copy->number] = 1;
    copied[copy->number] = source[0];
    if (source[0] == 0 || !holds(source, source[0], copy->bytes))
        report("reads bytes that are of no one tensor", "a copy");
    for (k = 0; k < copy->bytes; k++)
        destination[k] = 0;
}

static void wait_for(void *context, const net_copy *copy)
{
    const cell *const source = cells_of(copy->source, copy->bytes);
    cell *const destination = cells_of(copy->destination, copy->bytes);
    size_t k;
    (void)context;
    if (source == NULL || destination == NULL || !started[copy->number] || finished[copy->number]) {
        report("is awaited before it starts, or twice", "a copy");
        return;
    }
    finished[copy->number] = 1;
    if (!holds(source, copied[copy->number], copy->bytes))
        report("reads bytes that change under way", "a copy");
    for (k = 0; k < copy->bytes; k++)
        if (destination[k] != 0) {
            report("fills bytes that are written under way", "a copy");
            break;
        }
    fill(destination, copied[copy->number], copy->bytes);
}

static const net_dma dma = {start, wait_for, NULL};
#else
static const net_dma dma = {NULL, NULL, NULL};
#endif

static void place_given(const uint32_t *tensors, const uint32_t *places, size_t count)
{
    size_t k;
    for (k = 0; k < count; k++)
        write_tensor(net_address(places[k]), tensors[k]);
}

/* How many of the outputs are where they are looked for. */
static unsigned long read_results(const uint32_t *tensors, const uint32_t *places, size_t count)
{
    unsigned long right = 0;
    size_t k;
    for (k = 0; k < count; k++) {
        const unsigned long before = violations;
        read_tensor(net_address(places[k]), tensors[k]);
        right += violations == before;
    }
    return right;
}

int main(int count, char **words)
{
    unsigned long right;
    size_t k;
    (void)words;
    telling = count > 1;
    for (k = 0; k < sizeof blocks / sizeof blocks[0]; k++)
        if ((uintptr_t)blocks[k].bytes % blocks[k].alignment != 0)
            report("does not begin at a multiple of its alignment", blocks[k].name);
    place_given(given_tensors, given_places, GIVEN_COUNT);
    for (now = 0; now < NET_STEPS; now++) {
        net_step(now, &dma);
        execute(now);
    }
    net_step(NET_STEPS, &dma);
    right = read_results(result_tensors, result_places, RESULT_COUNT);
    for (k = 0; k < NET_OPS; k++)
        if (!executed[k])
            report("never runs", op_names[k]);
#if NET_COPIES > 0
    for (k = 0; k < NET_COPIES; k++)
        if (!finished[k])
            report("is never awaited", "a copy");
#endif
#if NET_ARENAS > 0
    for (k = 0; k < NET_ARENAS; k++) {
        const size_t unit = blocks[k].alignment;
        printf("net_plan: %lu bytes of %s in use at most\n", (unsigned long)((used[k] + unit - 1) / unit * unit),
               blocks[k].name);
    }
#endif
    printf("net_plan: %lu of %lu outputs in place\n", right, (unsigned long)RESULT_COUNT);
    printf("net_plan: %lu steps, %lu copies, %lu reads: %lu violations\n", (unsigned long)NET_STEPS,
           (unsigned long)NET_COPIES, reads, violations);
    return violations != 0;
}
