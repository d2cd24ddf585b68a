/** The program is no module that a virtual kernel can run; the message is one line for its user. */
export class ModuleError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ModuleError';
  }
}
