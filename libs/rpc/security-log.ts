/** Hears of messages and callers that were refused as they came in: SecurityEvents, mostly. */
export interface SecurityLog {
  refused(attempt: string, peer: string, text: string, subject: Record<string, string | undefined>): void;
}
