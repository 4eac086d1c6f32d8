/* The vectors at the core's offsets, and one entry that saves every register that C may use. */

    .section .vectors, "ax"
    .align 256
    .global vectors
vectors:
    .org vectors + 0x20
    wsr.excsave3 a0
    j       nmi_entry
    .org vectors + 0x30
    break   1, 0
    .org vectors + 0x50
    wsr.excsave1 a0
    j       user_entry
    .org vectors + 0x70
    break   1, 4

    .align 4
    .literal_position
    .macro  save_and_call excsave, function
    addi    a1, a1, -80
    s32i    a2, a1, 8
    rsr     a2, \excsave
    s32i    a2, a1, 0
    rsr     a2, sar
    s32i    a2, a1, 4
    s32i    a3, a1, 12
    s32i    a4, a1, 16
    s32i    a5, a1, 20
    s32i    a6, a1, 24
    s32i    a7, a1, 28
    s32i    a8, a1, 32
    s32i    a9, a1, 36
    s32i    a10, a1, 40
    s32i    a11, a1, 44
    movi    a0, \function
    callx0  a0
    l32i    a2, a1, 4
    wsr     a2, sar
    l32i    a0, a1, 0
    l32i    a2, a1, 8
    l32i    a3, a1, 12
    l32i    a4, a1, 16
    l32i    a5, a1, 20
    l32i    a6, a1, 24
    l32i    a7, a1, 28
    l32i    a8, a1, 32
    l32i    a9, a1, 36
    l32i    a10, a1, 40
    l32i    a11, a1, 44
    addi    a1, a1, 80
    .endm

user_entry:
    save_and_call excsave1, on_exception
    rfe

nmi_entry:
    save_and_call excsave3, on_nmi
    rfi     3

    .text
    .align  4
    .literal_position
    .global start
start:
    movi    a1, 0x40000000
    movi    a2, vectors
    wsr     a2, vecbase
    movi    a2, 0
    wsr     a2, intenable
    movi    a2, 0x20
    wsr     a2, ps
    rsync
    movi    a2, bss_start
    movi    a3, bss_end
    movi    a4, 0
1:  bgeu    a2, a3, 2f
    s32i    a4, a2, 0
    addi    a2, a2, 4
    j       1b
2:  movi    a0, main
    callx0  a0
3:  waiti   0
    j       3b
