/** A request's time-out, by a timer: some supported browsers have no time-outs in AbortSignal. */

/**
 * @param {number} milliseconds
 * @param {AbortSignal} [outer] aborts the request as well
 * @returns {{signal: AbortSignal, end: () => void}} `signal` for the request; `end` must be called once
 * its body was read, or it failed
 */
export function deadline(milliseconds, outer) {
  const controller = new AbortController();
  const abort = () => controller.abort();
  const timer = setTimeout(abort, milliseconds);
  if (outer?.aborted) abort();
  outer?.addEventListener("abort", abort);
  return {
    signal: controller.signal,
    end() {
      clearTimeout(timer);
      outer?.removeEventListener("abort", abort);
    },
  };
}
