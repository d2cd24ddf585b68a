// When to start a service again. Pure: lives in, decisions out.
//
//   a life of at least STEADY_MS   the next start is immediate-ish, the count begins anew
//   shorter                        twice the delay of the last time, up to MAX_DELAY_MS
//   MAX_SHORT_LIVES in a row       given up: it will not get better by itself

export const STEADY_MS = 10_000;
export const FIRST_DELAY_MS = 100;
export const MAX_DELAY_MS = 5_000;
export const MAX_SHORT_LIVES = 20;

export interface RestartHistory {
  shortLives: number;
}

export type RestartDecision = { restart: true; delayMs: number } | { restart: false };

/** `chance` in [0, 1) spreads services that died together: the delay is between half of it and the whole. */
export function decideRestart(history: RestartHistory, livedMs: number, chance: number): RestartDecision {
  history.shortLives = livedMs >= STEADY_MS ? 1 : history.shortLives + 1;
  if (history.shortLives >= MAX_SHORT_LIVES) return { restart: false };
  const delayMs = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** (history.shortLives - 1));
  return { restart: true, delayMs: Math.round(delayMs * (0.5 + chance / 2)) };
}
