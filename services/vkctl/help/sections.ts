/** Of vkctl itself, by their heads; man pages have them too. */
export const SECTIONS: ReadonlyMap<string, string> = new Map([
  [
    'Exit codes',
    `\
0  done
1  failed; one line on standard error says what, where and how to mend it
2  usage: an unknown command or option, a bad value
run exits with the program's own code (128 + n when signal n ended it), or
125  the cluster failed   126  the module cannot be executed   127  no such file`,
  ],
  [
    'Environment',
    `\
ODONATA_CLUSTER  the cluster of this machine that commands mean, whatever context is in use (default: "default")
ODONATA_HOME     where clusters keep their state (default: ~/.local/state/odonata)
ODONATA_SYSLINK  routers of a cluster that runs elsewhere, host:port with commas between; for all commands but up, down,
                 join, restart, doctor, user and token, which are for clusters of this machine. Any one of them is enough,
                 and a command goes to another when one is away
ODONATA_TLS_DIR  with ODONATA_SYSLINK: folder with tls.crt, tls.key and ca.crt: who one is there
ODONATA_CONTEXT  the context that commands mean (see vkctl context); empty: clusters of this machine
ODONATA_REQUEST_ID  goes with the command through the logs of all services (default: a new one); each call is a line
                 there after vkctl up --log-level debug
ODONATA_BUNDLE   off: run the sources, not the bundle that is made of them
NO_COLOR         no colours
COLUMNS          how wide tables may be; else as wide as the terminal, and without one as wide as they are`,
  ],
]);
