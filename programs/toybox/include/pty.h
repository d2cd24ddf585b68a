/* pty.h: terminals are made by the virtual kernel. */
