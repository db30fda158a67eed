// The analytics page: the widgets, and the progress of what fills them.

import { watchFills } from "./fills.js";
import { drawWidgets } from "./widgets.js";

drawWidgets();
watchFills();
