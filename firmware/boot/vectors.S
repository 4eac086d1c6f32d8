/* Exceptions and interrupts.
 *
 * The vectors lie at fixed offsets from VECBASE (core configuration of the LX106: debug 0x10, NMI 0x20, kernel 0x30, user
 * 0x50, double 0x70). Everything here lies in IRAM and calls nothing in flash, because an exception may come while the flash
 * cache is off. Interrupts are held while it is off.
 */

#include "registers.h"

        .section .vectors, "ax"
        .global dunlin_vectors
        .align  256
dunlin_vectors:
        .org    0x10
debug_vector:
        wsr     a0, excsave2
        j       debug_exception

        /* Nothing of ours raises the NMI; what is left over from the ROM or a radio is let pass. */
        .org    0x20
nmi_vector:
        rfi     3

        .org    0x30
kernel_vector:
        wsr     a0, excsave1
        j       general_exception

        .org    0x50
user_vector:
        wsr     a0, excsave1
        j       general_exception

        .org    0x70
double_vector:
        wsr     a0, excsave2
        j       double_exception

        /* Where code and constants in flash lie, how many bytes they have, and their CRC-32. `xtask` fills it in when it makes
         * the image (`firmware/image.rs`); `reset.S` checks it. */
        .org    0x80
        .global dunlin_flash_check
        .type   dunlin_flash_check, @object
dunlin_flash_check:
        .word   0, 0, 0

        .section .iram.text.exceptions, "ax"
        .align  4
        .literal_position

general_exception:
        rsr     a0, exccause
        beqi    a0, EXCCAUSE_INTERRUPT, interrupt
        beqi    a0, EXCCAUSE_LOAD_STORE, narrow_access
        movi    a0, FAULT_RECORD
        s32i    a1, a0, 24
        s32i    a2, a0, 28
        rsr     a2, excsave1
        j       fatal

/* --- Interrupts of level 1 ---
 *
 * The handler runs with EXCM clear and INTLEVEL 1: a narrow load in it is put right like any other, and no second interrupt
 * comes in between. In the CALL0 convention it keeps a12 to a15.
 */
#define FRAME_SIZE      64
#define FRAME_A0        0
#define FRAME_A2        4
#define FRAME_SAR       44
#define FRAME_PS        48
#define FRAME_EPC1      52

interrupt:
        /* What is served here takes less than the guard, so that a stack above it holds it. */
        movi    a0, dunlin_stack_end + STACK_GUARD
        bltu    a1, a0, stack_overflow
        addi    a1, a1, -FRAME_SIZE
        s32i    a2, a1, FRAME_A2
        s32i    a3, a1, FRAME_A2 + 4
        s32i    a4, a1, FRAME_A2 + 8
        s32i    a5, a1, FRAME_A2 + 12
        s32i    a6, a1, FRAME_A2 + 16
        s32i    a7, a1, FRAME_A2 + 20
        s32i    a8, a1, FRAME_A2 + 24
        s32i    a9, a1, FRAME_A2 + 28
        s32i    a10, a1, FRAME_A2 + 32
        s32i    a11, a1, FRAME_A2 + 36
        rsr     a2, excsave1
        s32i    a2, a1, FRAME_A0
        rsr     a2, sar
        s32i    a2, a1, FRAME_SAR
        rsr     a2, ps
        s32i    a2, a1, FRAME_PS
        rsr     a3, epc1
        s32i    a3, a1, FRAME_EPC1

        movi    a2, PS_UM | 1
        wsr     a2, ps
        rsync
        rsr     a2, interrupt
        rsr     a4, intenable
        and     a2, a2, a4
        movi    a4, dunlin_interrupt
        callx0  a4

        l32i    a2, a1, FRAME_PS
        wsr     a2, ps
        rsync
        l32i    a2, a1, FRAME_EPC1
        wsr     a2, epc1
        l32i    a2, a1, FRAME_SAR
        wsr     a2, sar
        l32i    a0, a1, FRAME_A0
        l32i    a2, a1, FRAME_A2
        l32i    a3, a1, FRAME_A2 + 4
        l32i    a4, a1, FRAME_A2 + 8
        l32i    a5, a1, FRAME_A2 + 12
        l32i    a6, a1, FRAME_A2 + 16
        l32i    a7, a1, FRAME_A2 + 20
        l32i    a8, a1, FRAME_A2 + 24
        l32i    a9, a1, FRAME_A2 + 28
        l32i    a10, a1, FRAME_A2 + 32
        l32i    a11, a1, FRAME_A2 + 36
        addi    a1, a1, FRAME_SIZE
        rfe

/* --- Loads of 8 and 16 bits from IRAM, ROM and flash ---
 *
 * These memories have 32-bit data ports; a narrow load raises cause 3. It is done here with a load of the whole word. The
 * registers are saved by number, so that the result is stored in the place of its register, a1 included. A narrow store is
 * fatal, because nothing of ours may write there, and so is a load of 16 bits at an odd address, should one come as cause 3.
 */
narrow_access:
        movi    a0, dunlin_registers
        s32i    a1, a0, 4
        s32i    a2, a0, 8
        s32i    a3, a0, 12
        s32i    a4, a0, 16
        s32i    a5, a0, 20
        s32i    a6, a0, 24
        s32i    a7, a0, 28
        s32i    a8, a0, 32
        s32i    a9, a0, 36
        s32i    a10, a0, 40
        s32i    a11, a0, 44
        s32i    a12, a0, 48
        s32i    a13, a0, 52
        s32i    a14, a0, 56
        s32i    a15, a0, 60
        rsr     a2, excsave1
        s32i    a2, a0, 0
        rsr     a7, sar

        /* a5: the instruction, from two words, because it lies anywhere. */
        rsr     a2, epc1
        srli    a4, a2, 2
        slli    a4, a4, 2
        l32i    a5, a4, 0
        l32i    a6, a4, 4
        ssa8l   a2
        src     a5, a6, a5

        /* a3: the bytes at the address, in the low bits. */
        rsr     a2, excvaddr
        srli    a4, a2, 2
        slli    a4, a4, 2
        l32i    a3, a4, 0
        ssa8l   a2
        srl     a3, a3

        movi    a4, 0xf00f
        and     a4, a5, a4
        movi    a6, 0x0002
        beq     a4, a6, load_8
        movi    a6, 0x1002
        beq     a4, a6, load_16
        movi    a6, 0x9002
        beq     a4, a6, load_16_signed

not_ours:
        wsr     a7, sar
        l32i    a1, a0, 4
        l32i    a2, a0, 8
        l32i    a0, a0, 0
        wsr     a0, excsave1
        movi    a0, FAULT_RECORD
        s32i    a1, a0, 24
        s32i    a2, a0, 28
        rsr     a2, excsave1
        j       fatal

load_8:
        extui   a3, a3, 0, 8
        j       loaded
load_16_signed:
        bbsi    a2, 0, not_ours
        slli    a3, a3, 16
        srai    a3, a3, 16
        j       loaded
load_16:
        bbsi    a2, 0, not_ours
        extui   a3, a3, 0, 16
loaded:
        extui   a4, a5, 4, 4
        addx4   a4, a4, a0
        s32i    a3, a4, 0
        rsr     a2, epc1
        addi    a2, a2, 3
        wsr     a2, epc1
        wsr     a7, sar
        l32i    a1, a0, 4
        l32i    a2, a0, 8
        l32i    a3, a0, 12
        l32i    a4, a0, 16
        l32i    a5, a0, 20
        l32i    a6, a0, 24
        l32i    a7, a0, 28
        l32i    a8, a0, 32
        l32i    a9, a0, 36
        l32i    a10, a0, 40
        l32i    a11, a0, 44
        l32i    a12, a0, 48
        l32i    a13, a0, 52
        l32i    a14, a0, 56
        l32i    a15, a0, 60
        l32i    a0, a0, 0
        rfe

/* --- The end ---
 *
 * Leaves the place in the memory of the real-time clock and resets the chip. Uses no stack, which may be what broke, and
 * nothing outside of IRAM, because the cache may be off. An exception of exceptions is marked by bit 8 of the cause, a debug
 * exception (a `break`, or a hardware breakpoint that is nobody's) by bit 9, a stack that has reached its guard by bit 10.
 */
stack_overflow:
        movi    a0, FAULT_RECORD
        s32i    a1, a0, 24
        s32i    a2, a0, 28
        rsr     a2, excsave1
        s32i    a2, a0, 20
        rsr     a2, epc1
        s32i    a2, a0, 8
        movi    a2, CAUSE_STACK_OVERFLOW
        j       finish

double_exception:
        movi    a0, FAULT_RECORD
        s32i    a1, a0, 24
        s32i    a2, a0, 28
        rsr     a2, excsave2
        s32i    a2, a0, 20
        rsr     a2, depc
        s32i    a2, a0, 8
        rsr     a2, exccause
        movi    a1, 0x100
        or      a2, a2, a1
        j       finish

debug_exception:
        movi    a0, FAULT_RECORD
        s32i    a1, a0, 24
        s32i    a2, a0, 28
        rsr     a2, excsave2
        s32i    a2, a0, 20
        rsr     a2, epc2
        s32i    a2, a0, 8
        movi    a2, 0x200
        j       finish

/* a0: the record, with a1 and a2 in it. a2: what a0 was. */
fatal:
        s32i    a2, a0, 20
        rsr     a2, epc1
        s32i    a2, a0, 8
        rsr     a2, exccause
finish:
        s32i    a2, a0, 4
        rsr     a2, excvaddr
        s32i    a2, a0, 12
        rsr     a2, ps
        s32i    a2, a0, 16
        movi    a2, FAULT_MAGIC
        s32i    a2, a0, 0
        movi    a2, RTC_CTRL
        l32i    a1, a2, 0
        movi    a0, 0x80000000
        or      a1, a1, a0
        s32i    a1, a2, 0
        memw
1:      j       1b

        .section .bss.dunlin_registers, "aw", @nobits
        .align  4
dunlin_registers:
        .space  64

        .section .note.GNU-stack, "", @progbits
