/* Jobs: pipelines that this shell started and whose end it has not told yet. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include "pipeline.h"
#include "traps.h"

enum state { RUNS, STOPPED, DONE };

struct job {
  int number;
  int count;
  pid_t pids[STAGES_MAX];
  int statuses[STAGES_MAX];
  enum state states[STAGES_MAX];
  /** It asked for the terminal before its group had it, and was told to go on. */
  bool was_early[STAGES_MAX];
  pid_t group;
  char *text;
  bool in_background, was_told;
  /** How it had the terminal when it was stopped. */
  struct termios modes;
  bool has_modes;
  struct job *next;
};

static struct job *jobs;

int status_of(int status) { return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status); }

struct job *job_add(const struct started *started, const char *text) {
  struct job *job = calloc(1, sizeof *job), **end = &jobs;
  int number = 1;
  for (; *end != NULL; end = &(*end)->next)
    if ((*end)->number >= number) number = (*end)->number + 1;
  job->number = number;
  job->count = started->count;
  job->group = started->group;
  job->text = strdup(text);
  for (int i = 0; i < started->count; i++) {
    job->pids[i] = started->pids[i];
    job->statuses[i] = started->statuses[i] << 8;
    job->states[i] = started->pids[i] == 0 ? DONE : RUNS;
  }
  return *end = job;
}

static enum state state_of(const struct job *job) {
  enum state all = DONE;
  for (int i = 0; i < job->count; i++)
    if (job->states[i] < all) all = job->states[i];
  return all;
}

static void forget(struct job *job) {
  struct job **at = &jobs;
  while (*at != job) at = &(*at)->next;
  *at = job->next;
  free(job->text);
  free(job);
}

static void told(pid_t pid, int status) {
  for (struct job *job = jobs; job != NULL; job = job->next)
    for (int i = 0; i < job->count; i++) {
      if (job->pids[i] != pid || job->states[i] == DONE) continue;
      job->states[i] = WIFSTOPPED(status) ? STOPPED : WIFCONTINUED(status) ? RUNS : DONE;
      job->statuses[i] = status;
    }
}

static int last_status(const struct job *job) {
  int last = job->count - 1;
  return job->states[last] == STOPPED ? 128 + SIGTSTP : status_of(job->statuses[last]);
}

static const char *state_text(const struct job *job, char *text, size_t room) {
  int status = job->statuses[job->count - 1];
  switch (state_of(job)) {
    case RUNS:
      return "Running";
    case STOPPED:
      return "Stopped";
    default:
      if (WIFSIGNALED(status)) snprintf(text, room, "%s", strsignal(WTERMSIG(status)));
      else if (WEXITSTATUS(status) == 0) return "Done";
      else snprintf(text, room, "Exit %d", WEXITSTATUS(status));
      return text;
  }
}

static struct job *latest(void) {
  struct job *found = NULL;
  for (struct job *job = jobs; job != NULL; job = job->next)
    if (state_of(job) != DONE && (found == NULL || state_of(job) == STOPPED || state_of(found) != STOPPED)) found = job;
  return found;
}

static void print_job(const struct job *job, int fd) {
  char state[64];
  dprintf(fd, "[%d]%c %-10s %s%s\n", job->number, job == latest() ? '+' : ' ', state_text(job, state, sizeof state), job->text,
          state_of(job) == RUNS ? " &" : "");
}

/** Ends of children that came meanwhile, without waiting for any. */
static void take_ends(void) {
  int status, stops = shell.has_jobs ? WUNTRACED | WCONTINUED : 0;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG | stops)) > 0;) told(pid, status);
}

void jobs_look(bool tells) {
  take_ends();
  for (struct job *job = jobs, *next; job != NULL; job = next) {
    next = job->next;
    if (state_of(job) == RUNS || (state_of(job) == STOPPED && job->was_told)) continue;
    if (tells && job->in_background) print_job(job, 2);
    job->was_told = true;
    if (state_of(job) == DONE && (tells || !job->in_background)) forget(job);
  }
}

bool has_stopped_jobs(void) {
  for (struct job *job = jobs; job != NULL; job = job->next)
    if (state_of(job) == STOPPED) return true;
  return false;
}

void job_tell_started(struct job *job) {
  job->in_background = true;
  if (shell.interactive && state_of(job) != DONE) dprintf(2, "[%d] %d\n", job->number, (int)job->pids[job->count - 1]);
}

static void give_terminal(pid_t group) {
  if (shell.has_jobs && shell.has_terminal && group != 0) tcsetpgrp(0, group);
}

static bool modes_differ(const struct termios *one, const struct termios *other) {
  return one->c_iflag != other->c_iflag || one->c_oflag != other->c_oflag || one->c_lflag != other->c_lflag ||
         memcmp(one->c_cc, other->c_cc, sizeof one->c_cc) != 0;
}

/** Whatever the job made of the terminal, this shell has it as it was; who was stopped has it back when it goes on. */
static void take_terminal(struct job *job, const struct termios *before) {
  struct termios after;
  give_terminal(getpgrp());
  if (before == NULL || tcgetattr(0, &after) < 0 || !modes_differ(&after, before)) return;
  if (state_of(job) == STOPPED) {
    job->modes = after;
    job->has_modes = true;
  }
  tcsetattr(0, TCSADRAIN, before);
}

/** A program may ask for the terminal before its group was given it. It is stopped for that, once at most, and goes on then. */
static void let_go_on(struct job *job, pid_t pid, int status) {
  if (!shell.has_jobs || !shell.has_terminal || job->group == 0 || !WIFSTOPPED(status)) return;
  if (WSTOPSIG(status) != SIGTTIN && WSTOPSIG(status) != SIGTTOU) return;
  for (int i = 0; i < job->count; i++) {
    if (job->pids[i] != pid || job->was_early[i]) continue;
    job->was_early[i] = true;
    job->states[i] = RUNS;
    kill(-job->group, SIGCONT);
  }
}

static void wait_for(struct job *job) {
  struct termios before;
  bool has_modes = shell.has_jobs && shell.has_terminal && job->group != 0 && tcgetattr(0, &before) == 0;
  if (has_modes && job->has_modes) tcsetattr(0, TCSADRAIN, &job->modes);
  job->has_modes = false;
  give_terminal(job->group);
  while (state_of(job) == RUNS) {
    int status;
    // A shell without jobs is stopped along with what it waits for, and waits on.
    pid_t pid = waitpid(-1, &status, shell.has_jobs ? WUNTRACED : 0);
    if (pid > 0) {
      told(pid, status);
      let_go_on(job, pid, status);
    } else if (errno == EINTR) {
      // Where the terminal is nobody's, what it says comes to us alone.
      if (shell.interrupted && shell.has_jobs && !shell.has_terminal && job->group != 0) kill(-job->group, SIGINT);
      if (!shell.has_jobs && shell.interrupted) continue;
      shell.interrupted = 0;
    } else break;
  }
  take_terminal(job, has_modes ? &before : NULL);
}

int job_wait(struct job *job) {
  wait_for(job);
  int status = last_status(job), ended = job->statuses[job->count - 1];
  if (state_of(job) == STOPPED) {
    job->in_background = job->was_told = true;
    print_job(job, 2);
    return status;
  }
  if (shell.interactive && WIFSIGNALED(ended)) {
    int signal = WTERMSIG(ended);
    if (signal == SIGINT) dprintf(2, "\n");
    else if (signal != SIGPIPE) dprintf(2, "%s\n", strsignal(signal));
  }
  forget(job);
  return status;
}

/** To all that is left of a job, also to what its programs started. @returns false: somebody is not there, or may not be told */
static bool signal_job(const struct job *job, int signal) {
  if (shell.has_jobs && job->group != 0) return kill(-job->group, signal) == 0;
  bool told = true;
  for (int i = 0; i < job->count; i++)
    if (job->states[i] != DONE && kill(job->pids[i], signal) < 0) told = false;
  return told;
}

/** At the end of a login nothing is left behind. */
void jobs_hang_up(void) {
  take_ends();
  for (struct job *job = jobs; job != NULL; job = job->next) {
    if (state_of(job) == DONE) continue;
    signal_job(job, SIGHUP);
    signal_job(job, SIGCONT);
  }
}

static struct job *job_named(const char *word) {
  if (word == NULL) return latest();
  if (*word == '%') word++;
  if (*word == 0 || *word == '%' || *word == '+') return latest();
  int number = atoi(word);
  for (struct job *job = jobs; job != NULL; job = job->next) {
    if (job->number == number) return job;
    if (number == 0 && strncmp(job->text, word, strlen(word)) == 0) return job;
  }
  return NULL;
}

static int no_job(const char *command, const char *word) {
  complain("%s: %s%sno such job: jobs shows those that there are", command, word == NULL ? "" : word, word == NULL ? "" : ": ");
  return 1;
}

int builtin_jobs(char **words) {
  bool only_pids = words[1] != NULL && strcmp(words[1], "-p") == 0;
  take_ends();
  for (struct job *job = jobs, *next; job != NULL; job = next) {
    next = job->next;
    if (only_pids) {
      char pid[16];
      snprintf(pid, sizeof pid, "%d\n", (int)(job->group != 0 ? job->group : job->pids[0]));
      say(pid);
      continue;
    }
    char line[64];
    char state[64];
    snprintf(line, sizeof line, "[%d]%c %-10s ", job->number, job == latest() ? '+' : ' ', state_text(job, state, sizeof state));
    say(line);
    say(job->text);
    say(state_of(job) == RUNS ? " &\n" : "\n");
    if (state_of(job) == DONE) forget(job);
  }
  return 0;
}

static void go_on(struct job *job) {
  for (int i = 0; i < job->count; i++)
    if (job->states[i] == STOPPED) job->states[i] = RUNS;
  signal_job(job, SIGCONT);
  job->was_told = false;
}

int builtin_fg(char **words) {
  struct job *job = job_named(words[1]);
  if (job == NULL || state_of(job) == DONE) return no_job("fg", words[1]);
  say(job->text);
  say("\n");
  job->in_background = false;
  give_terminal(job->group);
  go_on(job);
  return job_wait(job);
}

int builtin_bg(char **words) {
  struct job *job = job_named(words[1]);
  if (job == NULL || state_of(job) == DONE) return no_job("bg", words[1]);
  job->in_background = true;
  go_on(job);
  print_job(job, 2);
  return 0;
}

static struct job *job_of_pid(pid_t pid) {
  for (struct job *job = jobs; job != NULL; job = job->next)
    for (int i = 0; i < job->count; i++)
      if (job->pids[i] == pid) return job;
  return NULL;
}

static int wait_quietly(struct job *job) {
  wait_for(job);
  if (state_of(job) == RUNS) return 130;
  int status = last_status(job);
  if (state_of(job) == DONE) forget(job);
  return status;
}

int builtin_wait(char **words) {
  if (words[1] == NULL) {
    while (jobs != NULL && !shell.interrupted) {
      struct job *job = jobs;
      while (job != NULL && state_of(job) == STOPPED) job = job->next;
      if (job == NULL) break;
      wait_quietly(job);
    }
    return 0;
  }
  int status = 0;
  for (words++; *words != NULL; words++) {
    struct job *job = **words == '%' ? job_named(*words) : job_of_pid((pid_t)atol(*words));
    if (job == NULL && **words == '%') return no_job("wait", *words);
    status = job == NULL ? 127 : wait_quietly(job);
  }
  return status;
}

int signal_by_name(const char *name) {
  static const struct {
    const char *name;
    int signal;
  } known[] = { { "HUP", SIGHUP },   { "INT", SIGINT },   { "QUIT", SIGQUIT }, { "KILL", SIGKILL }, { "USR1", SIGUSR1 }, { "USR2", SIGUSR2 },
                { "PIPE", SIGPIPE }, { "ALRM", SIGALRM }, { "TERM", SIGTERM }, { "CHLD", SIGCHLD }, { "CONT", SIGCONT }, { "STOP", SIGSTOP },
                { "TSTP", SIGTSTP }, { "TTIN", SIGTTIN }, { "TTOU", SIGTTOU }, { "WINCH", SIGWINCH } };
  char *end;
  long number = strtol(name, &end, 10);
  if (*name != 0 && *end == 0) return number >= 0 && number < 32 ? (int)number : -1;
  if (strncmp(name, "SIG", 3) == 0) name += 3;
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (strcmp(name, known[i].name) == 0) return known[i].signal;
  return -1;
}

int builtin_kill(char **words) {
  int signal = SIGTERM, status = 0;
  words++;
  if (*words != NULL && strcmp(*words, "-l") == 0) {
    say("HUP INT QUIT KILL USR1 USR2 PIPE ALRM TERM CHLD CONT STOP TSTP TTIN TTOU WINCH\n");
    return 0;
  }
  if (*words != NULL && **words == '-' && (*words)[1] != 0) {
    const char *name = strcmp(*words, "-s") == 0 && words[1] != NULL ? *++words : *words + 1;
    signal = strcmp(name, "-") == 0 ? signal : signal_by_name(name);
    if (signal < 0) {
      complain("kill: %s: no such signal: kill -l lists them", name);
      return 2;
    }
    words++;
  }
  if (*words == NULL) {
    complain("kill: name a process or a job: kill [-SIGNAL] PID|%%JOB...");
    return 2;
  }
  for (; *words != NULL; words++) {
    struct job *job = **words == '%' ? job_named(*words) : NULL;
    if (**words == '%' && job == NULL) {
      status = no_job("kill", *words);
      continue;
    }
    if (job != NULL) {
      if (!signal_job(job, signal)) status = 1;
      if (state_of(job) == STOPPED && signal != SIGSTOP) go_on(job);
      continue;
    }
    char *end;
    long pid = strtol(*words, &end, 10);
    if (**words == 0 || *end != 0) {
      complain("kill: %s: is no pid", *words);
      status = 1;
    } else if (kill((pid_t)pid, signal) < 0) {
      complain("kill: %s: %s", *words, strerror(errno));
      status = 1;
    }
  }
  return status;
}
