/* @about */
#ifndef NET_PLAN_H
#define NET_PLAN_H

#include <stddef.h>
#include <stdint.h>

/* @counts */

/* How the compiler aligns an array. */
#ifndef NET_ALIGNED
#if defined(__GNUC__)
#define NET_ALIGNED(bytes) __attribute__((aligned(bytes)))
#else
#error "define NET_ALIGNED(bytes), which begins the definition of an array at a multiple of so many bytes"
#endif
#endif

/* Memories. CAPACITY may be defined otherwise for a board that has less; ATTRIBUTES says where the linker puts the
   arena, such as __attribute__((section(".dtcm"))). */
/* @memories */

/* Attributes of constant tables, where they are to lie in a section of their own. */
#ifndef NET_TABLE
#define NET_TABLE
#endif

/* Tensors, as NET_WITH_NAMES and NET_WITH_SIZES know them. */
/* @tensors */

/* Ops, as net_schedule names them. */
/* @ops */

#if NET_BUFFERS > 0
/* Buffers: what has no planned address, in the memory that the plan names. You define the table that says where they
   are; define NET_BUFFER_TABLE as nothing if it is to change between runs. */
/* @buffers */
#ifndef NET_BUFFER_TABLE
#define NET_BUFFER_TABLE const
#endif
extern void *NET_BUFFER_TABLE net_buffers[NET_BUFFERS];
#endif

/* Places, for net_address, of inputs and constants before the first step, and of outputs after the last. */
/* @places */

/* One copy: `bytes` bytes, in the queue of this number. Queues work side by side, each first in, first out. */
typedef struct {
    uint32_t number;
    uint32_t queue;
    void *destination;
    const void *source;
    size_t bytes;
} net_copy;

/* How copies are made. `start` begins one, and may finish it too; `wait` returns once it is done, and may be NULL where
   `start` finishes. */
typedef struct {
    void (*start)(void *context, const net_copy *copy);
    void (*wait)(void *context, const net_copy *copy);
    void *context;
} net_dma;

/* The address of a place. */
unsigned char *net_address(uint32_t place);

/* Make the copies that stand before `step`: those that it needs are done when this returns. Call it before each step,
   in order, and at the end with NET_STEPS. */
void net_step(uint32_t step, const net_dma *dma);

#ifndef NET_NO_SCHEDULE
/* The op that runs at each of NET_STEPS steps. */
/* @schedule */
#endif

#ifndef NET_NO_OPERANDS
/* Write the addresses of what the step's op reads, and then of what it writes, in the op's own order, and return how
   many they are: 0 where nothing needs to run. Constants that the plan ignores are not among them. */
uint32_t net_operands(uint32_t step, void *operands[NET_MOST_OPERANDS]);
#endif

#ifdef NET_WITH_NAMES
extern const char *const net_tensor_names[NET_TENSORS];
extern const char *const net_op_names[NET_OPS];
#endif

#ifdef NET_WITH_SIZES
/* The bytes of each of NET_TENSORS tensors. */
/* @sizes */
#endif

#endif
