/* test, and [: questions about files, strings and numbers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "shell.h"

struct question {
  char **at, **end;
  bool is_wrong;
};

static bool any(struct question *);

static bool wrong(struct question *question, const char *form, const char *what) {
  if (!question->is_wrong) complain(form, what);
  question->is_wrong = true;
  return false;
}

static long long number(struct question *question, const char *word) {
  char *end;
  long long value = strtoll(word, &end, 10);
  if (*word == 0 || end[strspn(end, " \t")] != 0) wrong(question, "test: \"%s\" is no number", word);
  return value;
}

static bool of_file(char what, const char *path) {
  struct stat about;
  if (what == 't') return isatty(atoi(path));
  if (what == 'h' || what == 'L') return lstat(path, &about) == 0 && S_ISLNK(about.st_mode);
  if (stat(path, &about) < 0) return false;
  switch (what) {
    case 'b':
      return S_ISBLK(about.st_mode);
    case 'c':
      return S_ISCHR(about.st_mode);
    case 'd':
      return S_ISDIR(about.st_mode);
    case 'f':
      return S_ISREG(about.st_mode);
    case 'p':
    case 'S':
      return S_ISSOCK(about.st_mode);
    case 's':
      return about.st_size > 0;
    default:
      return true;
  }
}

static bool is_binary(const char *word) {
  static const char *const operators[] = { "=", "==", "!=", "<", ">", "-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-nt", "-ot", "-ef" };
  for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
    if (strcmp(word, operators[i]) == 0) return true;
  return false;
}

static bool of_two(struct question *question, const char *left, const char *operator, const char *right) {
  if (operator[0] == '=') return strcmp(left, right) == 0;
  if (operator[0] == '!') return strcmp(left, right) != 0;
  if (operator[0] == '<') return strcmp(left, right) < 0;
  if (operator[0] == '>') return strcmp(left, right) > 0;
  struct stat a, b;
  bool has_a = stat(left, &a) == 0, has_b = stat(right, &b) == 0;
  if (strcmp(operator, "-nt") == 0) return has_a && (!has_b || a.st_mtim.tv_sec > b.st_mtim.tv_sec);
  if (strcmp(operator, "-ot") == 0) return has_b && (!has_a || a.st_mtim.tv_sec < b.st_mtim.tv_sec);
  if (strcmp(operator, "-ef") == 0) return has_a && has_b && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
  long long x = number(question, left), y = number(question, right);
  if (strcmp(operator, "-eq") == 0) return x == y;
  if (strcmp(operator, "-ne") == 0) return x != y;
  if (strcmp(operator, "-lt") == 0) return x < y;
  if (strcmp(operator, "-le") == 0) return x <= y;
  return strcmp(operator, "-gt") == 0 ? x > y : x >= y;
}

static bool one(struct question *question) {
  size_t left = (size_t)(question->end - question->at);
  if (left == 0) return wrong(question, "test: %s", "something is missing at the end");
  char **at = question->at;
  if (left >= 3 && is_binary(at[1])) {
    question->at += 3;
    return of_two(question, at[0], at[1], at[2]);
  }
  if (left >= 2 && strcmp(at[0], "!") == 0) {
    question->at++;
    return !one(question);
  }
  if (left >= 2 && strcmp(at[0], "(") == 0) {
    question->at++;
    bool answer = any(question);
    if (question->at == question->end || strcmp(*question->at, ")") != 0) return wrong(question, "test: %s", "a ) is missing");
    question->at++;
    return answer;
  }
  if (left >= 2 && at[0][0] == '-' && at[0][1] != 0 && at[0][2] == 0 && strchr("bcdefhLnprsStwxzguk", at[0][1]) != NULL) {
    question->at += 2;
    if (at[0][1] == 'n') return *at[1] != 0;
    if (at[0][1] == 'z') return *at[1] == 0;
    return of_file(at[0][1], at[1]);
  }
  question->at++;
  return *at[0] != 0;
}

static bool is_next(struct question *question, const char *word) {
  if (question->at == question->end || strcmp(*question->at, word) != 0) return false;
  question->at++;
  return true;
}

static bool all(struct question *question) {
  bool answer = one(question);
  while (!question->is_wrong && is_next(question, "-a")) answer = one(question) && answer;
  return answer;
}

static bool any(struct question *question) {
  bool answer = all(question);
  while (!question->is_wrong && is_next(question, "-o")) answer = all(question) || answer;
  return answer;
}

int builtin_test(char **words) {
  struct question question = { .at = words + 1, .end = words + 1 };
  while (*question.end != NULL) question.end++;
  if (strcmp(words[0], "[") == 0) {
    if (question.end == question.at || strcmp(question.end[-1], "]") != 0) return complain("[: a ] is missing at the end"), 2;
    question.end--;
  }
  if (question.at == question.end) return 1;
  bool answer = any(&question);
  if (!question.is_wrong && question.at != question.end) wrong(&question, "test: \"%s\" is not expected here", *question.at);
  return question.is_wrong ? 2 : !answer;
}
