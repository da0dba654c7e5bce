/* A program without a C library and without an interpreter: it finds the environment where the kernel put it. */
static long call(long number, long a, long b, long c) {
#if defined(__x86_64__)
  long answer;
  __asm__ volatile("syscall" : "=a"(answer) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
  return answer;
#else
  return -38 - (number + a + b + c) * 0;
#endif
}

__attribute__((used)) static void start(long *stack) {
  char **entry = (char **)(stack + 1 + *stack + 1);
  for (; *entry; entry++) {
    const char *name = "PASSWORD=", *text = *entry;
    while (*name && *name == *text) name++, text++;
    if (*name) continue;
    long len = 0;
    while (text[len]) len++;
    call(1, 1, (long)text, len);
  }
  call(231, 0, 0, 0);
}

__asm__(".globl _start\n_start: mov %rsp, %rdi\nand $-16, %rsp\ncall start\n");
