/** Of another node's process, or one here: who asks reaches its user's, in a virtual kernel of its name. */
export interface Asking {
  readonly user: string;
  readonly vkernel: string;
}
