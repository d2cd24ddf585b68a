/* $(( )): C's operators on 64-bit numbers, by precedence. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "shell.h"

struct sum {
  const char *at;
  const char *wrong;
  /** What is not taken, as behind &&, is read and not done. */
  int skipped;
};

static long long assigned(struct sum *);

static void skip_space(struct sum *sum) {
  while (isspace((unsigned char)*sum->at)) sum->at++;
}

static bool take(struct sum *sum, const char *operator) {
  skip_space(sum);
  size_t length = strlen(operator);
  if (strncmp(sum->at, operator, length) != 0) return false;
  sum->at += length;
  return true;
}

static long long of_name(struct sum *sum, const char *name) {
  const char *value = variable(name);
  char *end;
  if (value == NULL && shell.nounset) sum->wrong = "a variable is not set";
  if (value == NULL || *value == 0) return 0;
  long long number = strtoll(value, &end, 0);
  if (*end != 0) sum->wrong = "a variable is no number";
  return number;
}

static char *taken_name(struct sum *sum) {
  const char *begin = sum->at;
  while (isalnum((unsigned char)*sum->at) || *sum->at == '_') sum->at++;
  return region_text(&scratch, begin, (size_t)(sum->at - begin));
}

static long long primary(struct sum *sum) {
  skip_space(sum);
  if (take(sum, "(")) {
    long long value = assigned(sum);
    if (!take(sum, ")")) sum->wrong = "a ) is missing";
    return value;
  }
  if (isdigit((unsigned char)*sum->at)) {
    char *end;
    long long value = strtoll(sum->at, &end, 0);
    sum->at = end;
    if (isalnum((unsigned char)*end) || *end == '_') sum->wrong = "a number is none";
    return value;
  }
  if (isalpha((unsigned char)*sum->at) || *sum->at == '_') return of_name(sum, taken_name(sum));
  sum->wrong = "a number is missing";
  return 0;
}

static long long unary(struct sum *sum) {
  skip_space(sum);
  if (take(sum, "!")) return !unary(sum);
  if (take(sum, "~")) return ~unary(sum);
  if (take(sum, "-")) return (long long)(0 - (unsigned long long)unary(sum));
  if (take(sum, "+")) return unary(sum);
  return primary(sum);
}

/** Longer ones first. */
static const struct operator {
  const char *text;
  int level;
} operators[] = {
  { "<<", 8 }, { ">>", 8 }, { "<=", 7 }, { ">=", 7 }, { "==", 6 }, { "!=", 6 }, { "&&", 2 }, { "||", 1 }, { "*", 10 }, { "/", 10 },
  { "%", 10 }, { "+", 9 },  { "-", 9 },  { "<", 7 },  { ">", 7 },  { "&", 5 },  { "^", 4 },  { "|", 3 },
};

static long long apply(struct sum *sum, const char *operator, long long a, long long b) {
  unsigned long long ua = (unsigned long long)a, ub = (unsigned long long)b;
  switch (operator[0]) {
    case '*':
      return (long long)(ua * ub);
    case '+':
      return (long long)(ua + ub);
    case '-':
      return (long long)(ua - ub);
    case '/':
    case '%':
      if (b == 0) {
        if (!sum->skipped) sum->wrong = "a division by zero";
        return 0;
      }
      if (b == -1) return operator[0] == '/' ? (long long)(0 - ua) : 0;
      return operator[0] == '/' ? a / b : a % b;
    case '<':
      return operator[1] == '<' ? (long long)(ua << (ub & 63)) : operator[1] == '=' ? a <= b : a < b;
    case '>':
      return operator[1] == '>' ? a >> (ub & 63) : operator[1] == '=' ? a >= b : a > b;
    case '=':
      return a == b;
    case '!':
      return a != b;
    case '&':
      return operator[1] == '&' ? a && b : a & b;
    case '|':
      return operator[1] == '|' ? a || b : a | b;
    default:
      return a ^ b;
  }
}

static const struct operator *next_operator(struct sum *sum) {
  skip_space(sum);
  for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
    size_t length = strlen(operators[i].text);
    if (strncmp(sum->at, operators[i].text, length) != 0) continue;
    // += and the like end an operand.
    return operators[i].level > 2 && sum->at[length] == '=' && operators[i].level != 7 && operators[i].level != 6 ? NULL : &operators[i];
  }
  return NULL;
}

static long long binary(struct sum *sum, int level) {
  long long left = unary(sum);
  for (;;) {
    const struct operator *found = next_operator(sum);
    if (found == NULL || found->level < level || sum->wrong != NULL) return left;
    sum->at += strlen(found->text);
    bool skips = (found->level == 2 && !left) || (found->level == 1 && left);
    sum->skipped += skips;
    long long right = binary(sum, found->level + 1);
    sum->skipped -= skips;
    left = apply(sum, found->text, left, right);
  }
}

static long long conditional(struct sum *sum) {
  long long condition = binary(sum, 1);
  if (!take(sum, "?")) return condition;
  sum->skipped += !condition;
  long long yes = assigned(sum);
  sum->skipped -= !condition;
  if (!take(sum, ":")) sum->wrong = "a : is missing";
  sum->skipped += condition != 0;
  long long no = assigned(sum);
  sum->skipped -= condition != 0;
  return condition ? yes : no;
}

static long long assigned(struct sum *sum) {
  static const char *const forms[] = { "=", "+=", "-=", "*=", "/=", "%=", "<<=", ">>=", "&=", "^=", "|=" };
  skip_space(sum);
  const char *begin = sum->at;
  if (isalpha((unsigned char)*begin) || *begin == '_') {
    char *name = taken_name(sum);
    skip_space(sum);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
      size_t length = strlen(forms[i]);
      if (strncmp(sum->at, forms[i], length) != 0 || (i == 0 && sum->at[1] == '=')) continue;
      sum->at += length;
      long long value = assigned(sum);
      if (i > 0) value = apply(sum, forms[i], of_name(sum, name), value);
      char digits[32];
      snprintf(digits, sizeof digits, "%lld", value);
      if (!sum->skipped && sum->wrong == NULL && !set_variable(name, digits)) sum->wrong = "it is readonly";
      return value;
    }
  }
  sum->at = begin;
  return conditional(sum);
}

bool arithmetic(const char *expression, long long *value) {
  struct sum sum = { .at = expression };
  skip_space(&sum);
  *value = *sum.at == 0 ? 0 : assigned(&sum);
  skip_space(&sum);
  if (sum.wrong == NULL && *sum.at != 0) sum.wrong = "it goes on where it should end";
  if (sum.wrong != NULL) complain("$((%s)): %s", expression, sum.wrong);
  return sum.wrong == NULL;
}
