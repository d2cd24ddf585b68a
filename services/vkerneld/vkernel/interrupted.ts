/** What is called in a thread that is to look at its signals: guest-thread.ts has it, interrupts.ts calls it. */
export const INTERRUPTED = 'odonataInterrupted';
