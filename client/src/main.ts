import "./app.css";

import { mount } from "svelte";

import App from "./App.svelte";
import { startKeys } from "./lib/keys.svelte";
import { startRouter } from "./lib/router.svelte";
import { startTheme } from "./lib/theme.svelte";

startTheme();
startRouter();
startKeys();
mount(App, { target: document.getElementById("app") as HTMLElement });
