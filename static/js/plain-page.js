/** A page that only needs the script for the colour theme. */

import { wireShell } from "./shell.js";

wireShell();
