/** A page that needs no script but for the colours. */

import { wireTheme } from "./theme.js";

wireTheme();
