import js from "@eslint/js";
import globals from "globals";

export default [
  { ignores: ["static/vendor/", "node_modules/", "var/", ".venv/", ".cache/", "build/", "dist/"] },
  js.configs.recommended,
  {
    rules: {
      eqeqeq: "error",
      "no-eval": "error",
      "no-implied-eval": "error",
      "no-shadow": "error",
      "no-var": "error",
      "object-shorthand": "error",
      "prefer-const": "error",
    },
  },
  { files: ["static/js/**"], languageOptions: { globals: { ...globals.browser, uPlot: "readonly" } } },
  { files: ["tests/**", "benchmarks/**", "*.config.js"], languageOptions: { globals: globals.node } },
];
