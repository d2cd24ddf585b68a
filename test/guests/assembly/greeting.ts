/**
 * greeting NAME…: greets each in a line, in the language that the variable HELLO says; without one exits with 2 and a
 * complaint. A whole program by libs/guest/assembly/wasi alone.
 */
import { exit, print, printError, programArguments, variable } from "../../../libs/guest/assembly/wasi";

const args = programArguments();
if (args.length < 2) {
  printError("usage: greeting NAME…");
  exit(2);
}
const hello = variable("HELLO");
for (let i = 1; i < args.length; i++) print((hello === null ? "hello" : hello!) + ", " + args[i]);
