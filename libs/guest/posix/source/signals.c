/*
 * Signals: handlers, masks. The virtual kernel calls odonata_signal; what is blocked stays here until it is not. A signal that is
 * blocked or handled has the HANDLER action there, whatever this program does with it.
 */
#include <errno.h>
#include <odonata.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "errors.h"
#include "signal-numbers.h"

#define SIGNALS 32
typedef void handler(int);

static struct sigaction actions[SIGNALS];
static uint32_t blocked, pending;

static bool is_signal(int signal) { return signal > 0 && signal < SIGNALS && signal != SIGSTKFLT; }
static uint32_t bit(int signal) { return UINT32_C(1) << signal; }

/** For signals of the library that raise() has to name. */
_Noreturn static void end_by(int signal) {
  odonata_signal_action(to_wasi(signal), ODONATA_SIGNAL_DEFAULT);
  odonata_kill(getpid(), to_wasi(signal));
  for (;;) nanosleep(&(struct timespec){ .tv_sec = 3600 }, NULL);
}

static bool is_harmless(int signal) {
  return signal == SIGCHLD || signal == SIGURG || signal == SIGWINCH || signal == SIGCONT;
}

static void run(int signal) {
  struct sigaction action = actions[signal];
  if (action.sa_handler == SIG_IGN) return;
  if (action.sa_handler == SIG_DFL) {
    if (is_harmless(signal)) return;
    if (signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU) {
      odonata_kill(getpid(), to_wasi(SIGSTOP));
      return;
    }
    end_by(signal);
  }
  uint32_t before = blocked;
  uint32_t mask;
  memcpy(&mask, &action.sa_mask, sizeof mask);
  blocked |= mask | (action.sa_flags & SA_NODEFER ? 0 : bit(signal));
  if (action.sa_flags & (int)SA_RESETHAND) actions[signal].sa_handler = SIG_DFL;
  if (action.sa_flags & SA_SIGINFO) {
    siginfo_t info = { .si_signo = signal };
    action.sa_sigaction(signal, &info, NULL);
  } else action.sa_handler(signal);
  blocked = before;
}

/** Those that came while they were blocked, and are not any more. */
static void run_pending(void) {
  for (int signal = 1; signal < SIGNALS; signal++) {
    if (!(pending & ~blocked & bit(signal))) continue;
    pending &= ~bit(signal);
    run(signal);
  }
}

__attribute__((noinline)) static void arrived(int signal) {
  if (!is_signal(signal)) return;
  int kept = errno;
  pending |= bit(signal);
  run_pending();
  errno = kept;
}

/*
 * It may come in the middle of a function that calls no other, and has the 128 bytes below the stack pointer to itself: none of
 * them is touched here. It is not exported: the linker may wrap what is, in constructors and what atexit() has.
 */
__attribute__((noinline)) static void on_signal(int32_t signal) {
  volatile char untouched[256];
  __asm__ volatile("" : : "r"(untouched) : "memory");
  arrived(from_wasi(signal));
}

/** The virtual kernel does what is left of it: it calls, ignores, or ends. */
static int tell(int signal) {
  // WASI has none of that number, and nobody sends it.
  if (signal == SIGSTKFLT) return 0;
  handler *with = actions[signal].sa_handler;
  int action = ODONATA_SIGNAL_HANDLER;
  if (with == SIG_IGN) action = ODONATA_SIGNAL_IGNORE;
  else if (with == SIG_DFL && !(blocked & bit(signal))) action = ODONATA_SIGNAL_DEFAULT;
  if (action == ODONATA_SIGNAL_HANDLER) odonata_on_signal(on_signal);
  return odonata_signal_action(to_wasi(signal), action);
}

int sigaction(int signal, const struct sigaction *restrict action, struct sigaction *restrict before) {
  if ((!is_signal(signal) && signal != SIGSTKFLT) || (action != NULL && (signal == SIGKILL || signal == SIGSTOP))) return fail(EINVAL);
  if (before != NULL) *before = actions[signal];
  if (action == NULL) return 0;
  actions[signal] = *action;
  return fail(tell(signal));
}

void (*signal(int signal, void (*with)(int)))(int) {
  struct sigaction before, action = { .sa_flags = SA_RESTART };
  action.sa_handler = with;
  return sigaction(signal, &action, &before) < 0 ? SIG_ERR : before.sa_handler;
}

/** As wasi-libc's header has SIG_ERR and SIG_IGN. */
void __SIG_ERR(int signal) { (void)signal; }
void __SIG_IGN(int signal) { (void)signal; }

int raise(int signal) {
  if (!is_signal(signal)) return fail(EINVAL);
  if (signal == SIGKILL || signal == SIGSTOP) return fail(odonata_kill(getpid(), to_wasi(signal)));
  pending |= bit(signal);
  run_pending();
  return 0;
}

int kill(pid_t pid, int signal) {
  if (pid == getpid() && signal == 0) return 0;
  return pid == getpid() ? raise(signal) : fail(odonata_kill(pid, to_wasi(signal)));
}

int killpg(pid_t group, int signal) { return group < 0 ? fail(EINVAL) : kill(-group, signal); }

static uint32_t bits_of(const sigset_t *set) {
  uint32_t bits;
  memcpy(&bits, set, sizeof bits);
  return bits & ~(bit(SIGKILL) | bit(SIGSTOP));
}

int sigemptyset(sigset_t *set) {
  memset(set, 0, sizeof *set);
  return 0;
}

int sigfillset(sigset_t *set) {
  memset(set, 0xff, sizeof *set);
  return 0;
}

static int change(sigset_t *set, int signal, bool add) {
  if (!is_signal(signal)) return fail(EINVAL);
  uint32_t bits;
  memcpy(&bits, set, sizeof bits);
  bits = add ? bits | bit(signal) : bits & ~bit(signal);
  memcpy(set, &bits, sizeof bits);
  return 0;
}

int sigaddset(sigset_t *set, int signal) { return change(set, signal, true); }
int sigdelset(sigset_t *set, int signal) { return change(set, signal, false); }

int sigismember(const sigset_t *set, int signal) {
  uint32_t bits;
  memcpy(&bits, set, sizeof bits);
  return is_signal(signal) ? (bits & bit(signal)) != 0 : fail(EINVAL);
}

static void store(sigset_t *set, uint32_t bits) {
  memset(set, 0, sizeof *set);
  memcpy(set, &bits, sizeof bits);
}

int sigpending(sigset_t *set) {
  store(set, pending);
  return 0;
}

int sigprocmask(int how, const sigset_t *restrict set, sigset_t *restrict before) {
  if (before != NULL) store(before, blocked);
  if (set == NULL) return 0;
  uint32_t bits = bits_of(set), old = blocked;
  if (how == SIG_BLOCK) blocked |= bits;
  else if (how == SIG_UNBLOCK) blocked &= ~bits;
  else if (how == SIG_SETMASK) blocked = bits;
  else return fail(EINVAL);
  for (int signal = 1; signal < SIGNALS; signal++)
    if ((old ^ blocked) & bit(signal)) tell(signal);
  run_pending();
  return 0;
}

int pthread_sigmask(int how, const sigset_t *restrict set, sigset_t *restrict before) {
  return sigprocmask(how, set, before) < 0 ? errno : 0;
}

int pause(void) {
  struct timespec day = { .tv_sec = 86400 };
  while (nanosleep(&day, NULL) == 0) {}
  return fail(EINTR);
}

int sigsuspend(const sigset_t *mask) {
  sigset_t before;
  uint32_t was = pending & ~bits_of(mask);
  sigprocmask(SIG_SETMASK, mask, &before);
  // One that came before has run by now.
  if (was == 0) pause();
  sigprocmask(SIG_SETMASK, &before, NULL);
  return fail(EINTR);
}

int sigwait(const sigset_t *restrict set, int *restrict signal) {
  uint32_t wanted = bits_of(set);
  for (;;) {
    uint32_t ready = pending & wanted;
    if (ready != 0) {
      *signal = __builtin_ctz(ready);
      pending &= ~bit(*signal);
      return 0;
    }
    nanosleep(&(struct timespec){ .tv_sec = 3600 }, NULL);
  }
}
