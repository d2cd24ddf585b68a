/*
 * Reads a line at a terminal, which is raw meanwhile. The line is shown in one row: what is longer is shown in part, around the
 * cursor. Keys are those of other shells.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>
#include "shell.h"

#define KEY(key) ((key) & 31)
enum key { UP = 256, DOWN, LEFT, RIGHT, HOME, END_KEY, DELETE, OTHER };

struct editor {
  const char *prompt;
  struct text line;
  size_t cursor;
  /** Which line of the history it is; their count: what is typed. */
  int place;
  char *typed;
  bool was_tab;
};

static bool is_inside(char byte) { return ((unsigned char)byte & 0xc0) == 0x80; }

/** Characters, each a column. */
static size_t columns(const char *text, size_t length) {
  size_t count = 0;
  for (size_t i = 0; i < length; i++) count += !is_inside(text[i]);
  return count;
}

static size_t before(const struct editor *editor, size_t at) {
  if (at > 0) at--;
  while (at > 0 && is_inside(editor->line.at[at])) at--;
  return at;
}

static size_t after(const struct editor *editor, size_t at) {
  if (at < editor->line.length) at++;
  while (at < editor->line.length && is_inside(editor->line.at[at])) at++;
  return at;
}

static size_t width(void) {
  struct winsize size;
  return ioctl(0, TIOCGWINSZ, &size) == 0 && size.ws_col > 10 ? size.ws_col : 80;
}

static void put(const char *bytes, size_t length) { (void)!write(2, bytes, length); }

static void show(const struct editor *editor) {
  size_t prompt = columns(editor->prompt, strlen(editor->prompt)), all = width();
  size_t room = all > prompt + 10 ? all - prompt - 1 : 10;
  size_t begin = 0, end = editor->line.length;
  while (columns(editor->line.at + begin, editor->cursor - begin) >= room) begin = after(editor, begin);
  while (columns(editor->line.at + begin, end - begin) > room) end = before(editor, end);
  struct text out = text_in(&scratch);
  text_append(&out, "\r");
  text_append(&out, editor->prompt);
  text_add(&out, editor->line.at + begin, end - begin);
  text_append(&out, "\033[K\r");
  size_t column = prompt + columns(editor->line.at + begin, editor->cursor - begin);
  char move[32];
  if (column > 0) {
    snprintf(move, sizeof move, "\033[%zuC", column);
    text_append(&out, move);
  }
  put(out.at, out.length);
}

static void replace(struct editor *editor, size_t begin, size_t end, const char *with, size_t length) {
  struct text made = text_in(&scratch);
  text_add(&made, editor->line.at, begin);
  text_add(&made, with, length);
  text_add(&made, editor->line.at + end, editor->line.length - end);
  editor->line = made;
  editor->cursor = begin + length;
}

static void recall(struct editor *editor, int step) {
  int place = editor->place + step;
  if (place < 0 || place > history_count()) return;
  if (editor->place == history_count()) editor->typed = region_text(&scratch, editor->line.at, editor->line.length);
  editor->place = place;
  const char *line = place == history_count() ? editor->typed : history_at(place);
  replace(editor, 0, editor->line.length, line, strlen(line));
}

static int read_byte(void) {
  unsigned char byte;
  for (;;) {
    ssize_t length = read(0, &byte, 1);
    if (length == 1) return byte;
    // Another size of the terminal, a child that ended.
    if (length < 0 && errno == EINTR) continue;
    return -1;
  }
}

static int read_key(void) {
  int byte = read_byte();
  if (byte != 27) return byte;
  int kind = read_byte();
  if (kind != '[' && kind != 'O') return OTHER;
  int key = read_byte(), number = 0;
  while (key >= '0' && key <= '9') {
    number = number * 10 + key - '0';
    key = read_byte();
  }
  while (key == ';' || (key >= '0' && key <= '9')) key = read_byte();
  static const struct {
    int letter, number, key;
  } known[] = { { 'A', 0, UP },     { 'B', 0, DOWN },      { 'C', 0, RIGHT },  { 'D', 0, LEFT },    { 'H', 0, HOME },
                { 'F', 0, END_KEY }, { '~', 1, HOME },      { '~', 7, HOME },   { '~', 4, END_KEY }, { '~', 8, END_KEY },
                { '~', 3, DELETE } };
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (known[i].letter == key && (key != '~' || known[i].number == number)) return known[i].key;
  return OTHER;
}

static void list_all(const struct list *found) {
  size_t widest = 0, column = 0, all = width();
  for (size_t i = 0; i < found->count; i++)
    if (strlen(found->at[i]) > widest) widest = strlen(found->at[i]);
  put("\r\n", 2);
  for (size_t i = 0; i < found->count; i++) {
    const char *slash = strrchr(found->at[i], '/');
    const char *shown = slash != NULL && slash[1] != 0 ? slash + 1 : found->at[i];
    dprintf(2, "%-*s", (int)widest + 2, shown);
    column += widest + 2;
    if (column + widest + 2 > all || i + 1 == found->count) {
      put("\r\n", 2);
      column = 0;
    }
  }
}

static void complete(struct editor *editor) {
  size_t begin;
  struct list found = completions(editor->line.at, editor->cursor, &begin);
  if (found.count == 0) return;
  size_t same = strlen(found.at[0]);
  for (size_t i = 1; i < found.count; i++)
    for (size_t at = 0; at < same; at++)
      if (found.at[0][at] != found.at[i][at]) same = at;
  struct text word = text_in(&scratch);
  text_add(&word, found.at[0], same);
  if (found.count == 1 && word.at[word.length - 1] != '/') text_put(&word, ' ');
  bool is_longer = word.length > editor->cursor - begin;
  if (!is_longer && editor->was_tab && found.count > 1) list_all(&found);
  replace(editor, begin, editor->cursor, word.at, word.length);
}

static size_t word_before(const struct editor *editor) {
  size_t at = editor->cursor;
  while (at > 0 && editor->line.at[at - 1] == ' ') at--;
  while (at > 0 && editor->line.at[at - 1] != ' ') at--;
  return at;
}

/** True: the line is done. */
static bool take_key(struct editor *editor, int key) {
  char byte = (char)key;
  switch (key) {
    case '\r':
    case '\n':
      return true;
    case KEY('a'):
    case HOME:
      editor->cursor = 0;
      break;
    case KEY('e'):
    case END_KEY:
      editor->cursor = editor->line.length;
      break;
    case KEY('b'):
    case LEFT:
      editor->cursor = before(editor, editor->cursor);
      break;
    case KEY('f'):
    case RIGHT:
      editor->cursor = after(editor, editor->cursor);
      break;
    case KEY('p'):
    case UP:
      recall(editor, -1);
      break;
    case KEY('n'):
    case DOWN:
      recall(editor, 1);
      break;
    case KEY('h'):
    case 127:
      replace(editor, before(editor, editor->cursor), editor->cursor, "", 0);
      break;
    case KEY('d'):
    case DELETE: {
      size_t at = editor->cursor;
      replace(editor, at, after(editor, at), "", 0);
      break;
    }
    case KEY('u'):
      replace(editor, 0, editor->cursor, "", 0);
      break;
    case KEY('k'):
      replace(editor, editor->cursor, editor->line.length, "", 0);
      break;
    case KEY('w'):
      replace(editor, word_before(editor), editor->cursor, "", 0);
      break;
    case KEY('l'):
      put("\033[H\033[2J", 7);
      break;
    case '\t':
      complete(editor);
      break;
    default:
      if (key < 256 && (key >= ' ' || key < 0)) replace(editor, editor->cursor, editor->cursor, &byte, 1);
  }
  editor->was_tab = key == '\t';
  return false;
}

/** Where there are no modes: a line as it comes. */
static char *plain_line(const char *prompt) {
  struct text line = text_in(&scratch);
  put(prompt, strlen(prompt));
  for (char c;;) {
    ssize_t length = read(0, &c, 1);
    if (length < 0) return NULL;
    errno = 0;
    if (length == 0) return line.length == 0 ? NULL : strdup(line.at);
    if (c == '\n') return strdup(line.at);
    if (c != 0) text_put(&line, c);
  }
}

char *edit_line(const char *prompt) {
  struct termios before_it, raw;
  if (tcgetattr(0, &before_it) < 0) return plain_line(prompt);
  raw = before_it;
  raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG | IEXTEN);
  raw.c_iflag &= ~(tcflag_t)(ICRNL | IXON | INLCR | IGNCR);
  raw.c_cc[VMIN] = 1;
  raw.c_cc[VTIME] = 0;
  tcsetattr(0, TCSADRAIN, &raw);
  // Of a prompt of several lines the last is edited.
  const char *last = strrchr(prompt, '\n');
  if (last != NULL) put(prompt, (size_t)(last - prompt) + 1);
  struct editor editor = { .prompt = last == NULL ? prompt : last + 1, .line = text_in(&scratch), .place = history_count() };
  char *line = NULL;
  int error = 0;
  for (;;) {
    struct mark mark = region_mark(&scratch);
    show(&editor);
    region_release(&scratch, mark);
    int key = read_key();
    if (key == KEY('c')) {
      put("^C\r\n", 4);
      error = EINTR;
      break;
    }
    if (key < 0 || (key == KEY('d') && editor.line.length == 0)) {
      if (key >= 0) put("\r\n", 2);
      break;
    }
    if (!take_key(&editor, key)) continue;
    editor.cursor = editor.line.length;
    show(&editor);
    put("\r\n", 2);
    line = strdup(editor.line.at);
    break;
  }
  tcsetattr(0, TCSADRAIN, &before_it);
  errno = error;
  return line;
}
