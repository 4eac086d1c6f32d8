/* What only instructions of the processor can do; `cpu.rs` and `interrupt.rs` say what each is for. CALL0 convention. */

#include "registers.h"

        .macro  routine name
        .section .iram.text.\name, "ax"
        .align  4
        .literal_position
        .global \name
        .type   \name, @function
\name:
        .endm

/* u32 dunlin_cycles(void) */
        routine dunlin_cycles
        rsr     a2, ccount
        ret

/* void dunlin_wait_for_interrupt(void) */
        routine dunlin_wait_for_interrupt
        waiti   0
        ret

/* u32 dunlin_hold_interrupts(void): returns PS as it was. */
        routine dunlin_hold_interrupts
        rsil    a2, 1
        ret

/* void dunlin_restore_interrupts(u32 ps) */
        routine dunlin_restore_interrupts
        wsr     a2, ps
        rsync
        ret

/* void dunlin_enable_interrupts(u32 mask): these interrupts and no others. */
        routine dunlin_enable_interrupts
        wsr     a2, intenable
        rsync
        ret

/* void dunlin_clear_interrupts(u32 mask): forgets pending interrupts of edges. */
        routine dunlin_clear_interrupts
        wsr     a2, intclear
        rsync
        ret

/* u8 __atomic_load_1(u8 *address, int order) and its like: the compiler calls them, because this core has no instructions of
 * that kind. Single loads and stores can't be torn; `memw` keeps their order. */
        routine __atomic_load_1
        l8ui    a2, a2, 0
        memw
        ret

        routine __atomic_store_1
        memw
        s8i     a3, a2, 0
        memw
        ret

        routine __atomic_load_4
        l32i    a2, a2, 0
        memw
        ret

        routine __atomic_store_4
        memw
        s32i    a3, a2, 0
        memw
        ret

/* void abort(void): where the compiler knows that nothing can come. */
        routine abort
        ill
        ret

        .section .note.GNU-stack, "", @progbits
