/* Programs that run another one in unusual ways. Which, says the name they are compiled for. */
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <spawn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <signal.h>

extern char **environ;

static int ended(pid_t pid) {
  int status;
  if (waitpid(pid, &status, 0) != pid) return 125;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

#ifdef SECCOMP
/* Answers memfd_secret as a strict profile would. */
static void restrict_calls(unsigned answer) {
  struct sock_filter program[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 447, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, answer),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog filter = { 4, program };
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter)) exit(125);
}
#endif

int main(int argc, char **argv) {
  (void)argc;
#if defined(VFORK)
  pid_t pid = vfork();
  if (pid == 0) {
    execvp(argv[1], argv + 1);
    _exit(127);
  }
  return ended(pid);
#elif defined(SPAWN)
  pid_t pid;
  if (posix_spawnp(&pid, argv[1], NULL, NULL, argv + 1, environ)) return 127;
  return ended(pid);
#elif defined(CLOSES)
  for (int fd = 0; fd < 1024; fd++) close(fd);
#elif defined(SECCOMP)
  restrict_calls(SECCOMP);
#elif defined(KILLS)
  /* Kills each child a moment later than the one before: while it is born, becomes a program, is given values. */
  for (int round = 0; round < 300; round++) {
    pid_t pid = fork();
    if (pid == 0) {
      execvp(argv[1], argv + 1);
      _exit(127);
    }
    usleep(round * 10);
    kill(pid, SIGKILL);
    ended(pid);
  }
  return 0;
#endif
  (void)ended;
  execvp(argv[1], argv + 1);
  return 127;
}
