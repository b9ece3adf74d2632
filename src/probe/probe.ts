/**
 * What every kind of check has in common. A probe asks once and knows nothing of thresholds.
 */
import type { Verdict } from '../core/health.ts';

/** Asks the app once. Never rejects: what goes wrong on our side is the verdict `unknown`. */
export type Probe = (signal: AbortSignal) => Promise<Verdict>;
