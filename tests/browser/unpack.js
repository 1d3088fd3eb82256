/**
 * Unpacks the browser of the tests: `node tests/browser/unpack.js FOLDER`, with an absolute path.
 *
 * The package unpacks to the system's temporary folder, and the libraries that a bare machine lacks
 * (NSS) only where it takes the machine for one of AWS: both are read from the environment.
 */
import { mkdir } from "node:fs/promises";

const folder = process.argv[2];
if (process.platform === "linux" && process.arch === "x64") {
  await mkdir(folder, { recursive: true });
  process.env.TMPDIR = folder;
  process.env.AWS_EXECUTION_ENV = "AWS_Lambda_nodejs22.x";
  const { default: chromium } = await import("@sparticuz/chromium");
  await chromium.executablePath();
} else {
  console.log(`make: no browser package for ${process.platform} ${process.arch}: the tests use the machine's`);
}
