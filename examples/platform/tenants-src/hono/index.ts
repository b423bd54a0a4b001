// Tenant "hono": an app written with a framework from npm, bundled into tenants/hono/index.js by `make build`.
import { Hono } from "hono";

const app = new Hono<{ Bindings: { TENANT: string } }>();

app.get("/", (c) => c.html(`<h1>Hello from ${c.env.TENANT}</h1>\n`));
app.get("/hello/:name", (c) => c.json({ hello: c.req.param("name"), tenant: c.env.TENANT }));
app.post("/echo", async (c) => c.text(await c.req.text()));
app.notFound((c) => c.text("The app has no such page.\n", 404));

export default app;
