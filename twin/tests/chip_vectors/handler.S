/* What the vectors call for an interrupt: keeps what it is told, reads a byte where only words can be read, and changes every
 * register that a function may change. */

        .text
        .align  4
        .literal_position
        .global dunlin_interrupt
        .type   dunlin_interrupt, @function
dunlin_interrupt:
        movi    a4, handled
        s32i    a2, a4, 0
        s32i    a3, a4, 4
        rsr     a5, ps
        s32i    a5, a4, 8
        movi    a5, dunlin_vectors
        l8ui    a6, a5, 0x11
        s32i    a6, a4, 12
        ssai    31
        movi    a2, -1
        mov     a3, a2
        mov     a5, a2
        mov     a6, a2
        mov     a7, a2
        mov     a8, a2
        mov     a9, a2
        mov     a10, a2
        mov     a11, a2
        mov     a4, a2
        ret

        .section .bss.handled, "aw", @nobits
        .align  4
        .global handled
handled:
        .space  16
