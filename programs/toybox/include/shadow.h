/* shadow.h: there are no passwords. */
struct spwd {
  char *sp_namp, *sp_pwdp;
};
