/* From the boot ROM to `dunlin_main`.
 *
 * The ROM has copied the image's IRAM and DRAM segments and calls the entry point on its own stack, at 52 MHz, with the flash
 * cache off and its own vectors. Everything here lies in IRAM, because flash can't be executed from before the cache is on.
 */

#include "registers.h"

        .section .iram.text.reset, "ax"
        .align  4
        .literal_position
        .global _start
        .type   _start, @function
_start:
        /* Hold every interrupt; user mode, because level-1 interrupts and exceptions then use the user vector. */
        movi    a2, PS_UM | 15
        wsr     a2, ps
        rsync
        movi    a2, 0
        wsr     a2, intenable
        movi    a2, dunlin_vectors
        wsr     a2, vecbase
        rsync

        /* Paint the stack, so that its use can be measured, and stand on it. */
        movi    a2, dunlin_stack_end
        movi    a3, dunlin_stack_start
        movi    a4, STACK_PAINT
1:      s32i    a4, a2, 0
        addi    a2, a2, 4
        bltu    a2, a3, 1b
        mov     a1, a3

        /* Zero what starts as zero. */
        movi    a2, dunlin_bss_start
        movi    a3, dunlin_bss_end
        movi    a4, 0
        bgeu    a2, a3, 3f
2:      s32i    a4, a2, 0
        addi    a2, a2, 4
        bltu    a2, a3, 2b

        /* The PLL: 80 MHz for processor and peripherals from a crystal of 26 MHz. */
3:      movi    a2, PLL_BLOCK
        movi    a3, PLL_HOST
        movi    a4, 1
        movi    a5, PLL_REGISTER_1_26_MHZ
        movi    a6, ROM_I2C_WRITE_REGISTER
        callx0  a6
        movi    a2, PLL_BLOCK
        movi    a3, PLL_HOST
        movi    a4, 2
        movi    a5, PLL_REGISTER_2_26_MHZ
        movi    a6, ROM_I2C_WRITE_REGISTER
        callx0  a6

        /* The flash cache: first MiB, 32 KiB of cache. */
        movi    a2, 0
        movi    a3, 0
        movi    a4, 1
        movi    a5, ROM_CACHE_READ_ENABLE
        callx0  a5

        movi    a2, dunlin_main
        callx0  a2
        break   1, 15
        .size   _start, . - _start

        .section .note.GNU-stack, "", @progbits
