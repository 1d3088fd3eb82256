/** A page that only needs the script for the colour theme. */

import { wireTheme } from "./theme.js";

wireTheme();
