/** Where a part stands in the network: parts of one place share its cuts and its clock. */
export interface Place {
  readonly name: string;
  readonly index: number;
  /** Milliseconds of its monotonic clock in one of true time. */
  readonly speed: number;
}
