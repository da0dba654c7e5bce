# A 32-bit program that does nothing.
.globl _start
_start:
    movl $1, %eax
    xorl %ebx, %ebx
    int $0x80
