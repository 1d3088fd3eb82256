/** The service's base path: "" at the root, else a path such as "/stats". */

export const base = globalThis.document?.documentElement?.dataset?.base ?? "";
