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

        /* The run before may have ended in an erasure, and a reset does not end that: the flash chip is waited for. */
        movi    a2, ROM_FLASH_CHIP
        l32i    a2, a2, 0
        movi    a3, ROM_WAIT_SPI_IDLE
        callx0  a3

        /* The flash cache: first MiB, 32 KiB of cache. */
        movi    a2, 0
        movi    a3, 0
        movi    a4, 1
        movi    a5, ROM_CACHE_READ_ENABLE
        callx0  a5

        /* Nothing in flash is run before all of it is there. CRC-32, four bits at a time: 40 ms. */
        movi    a2, dunlin_flash_check
        l32i    a3, a2, 0
        l32i    a4, a2, 4
        l32i    a5, a2, 8
        add     a4, a4, a3
        movi    a6, -1
        movi    a7, crc_steps
4:      l32i    a8, a3, 0
        xor     a6, a6, a8
        .rept   8
        extui   a8, a6, 0, 4
        addx4   a8, a8, a7
        l32i    a8, a8, 0
        srli    a6, a6, 4
        xor     a6, a6, a8
        .endr
        addi    a3, a3, 4
        bltu    a3, a4, 4b
        movi    a8, -1
        xor     a6, a6, a8
        bne     a6, a5, incomplete

        movi    a2, dunlin_main
        callx0  a2
        break   1, 15
        .size   _start, . - _start

/* Part of the firmware is missing in flash: says so on UART0, at the usual rate, and waits. Nothing would feed the watchdog, so
 * it is switched off. */
incomplete:
        movi    a2, WATCHDOG_CTL
        movi    a3, 0
        s32i    a3, a2, 0
        /* What the ROM has said leaves first, and the character that is being shifted out. */
        movi    a2, UART0
1:      l32i    a3, a2, UART_STATUS
        extui   a3, a3, 16, 8
        bnez    a3, 1b
        rsr     a4, ccount
        movi    a5, UART_CHARACTER
2:      rsr     a3, ccount
        sub     a3, a3, a4
        bltu    a3, a5, 2b
        movi    a3, UART_DIVIDER
        s32i    a3, a2, UART_CLKDIV
        /* Shorter than the FIFO. IRAM is read by words. */
        movi    a4, incomplete_text
        movi    a5, incomplete_end
3:      l32i    a3, a4, 0
        .rept   4
        extui   a6, a3, 0, 8
        s32i    a6, a2, 0
        srli    a3, a3, 8
        .endr
        addi    a4, a4, 4
        bltu    a4, a5, 3b
4:      waiti   15
        j       4b

        .align  4
        .type   incomplete_text, @object
incomplete_text:
        .ascii  "\r\nfirmware incomplete: flash it again with dunlin flash\r\n"
        .balign 4, 0x0a
        .type   incomplete_end, @object
incomplete_end:
/* What four bits add to a CRC-32 (polynomial 0x04c11db7, reflected). */
        .type   crc_steps, @object
crc_steps:
        .word   0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c
        .word   0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c

        .section .note.GNU-stack, "", @progbits
