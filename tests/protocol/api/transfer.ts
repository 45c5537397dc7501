// A complete transfer through the generated types: transfer.ts, compiled, URL

import createClient from "openapi-fetch";
import { deepStrictEqual, strictEqual } from "node:assert";
import type { components, paths } from "./api.js";

const client = createClient<paths>({ baseUrl: process.argv[2] });
const data = new Uint8Array(1 << 20).map((_, index) => index % 251);

const { data: created } = await client.POST("/stream", {
  body: { download_headers: { "X-Part": 1 }, ttl_seconds: 60 },
});
strictEqual(created?.ttl_seconds, 60);
const params = { path: { id: created.stream } };

const upload = client.PUT("/stream/{id}", {
  params,
  body: data as unknown as string,
  bodySerializer: (body: unknown) => body as Uint8Array<ArrayBuffer>,
  headers: { "Content-Type": "application/octet-stream" },
});
const download = await client.GET("/stream/{id}", { params, parseAs: "arrayBuffer" });
strictEqual(download.response.headers.get("X-Part"), "1");
deepStrictEqual(new Uint8Array(download.data as ArrayBuffer), data);
strictEqual((await upload).response.status, 200);

const { data: status } = await client.GET("/stream/{id}/status", { params });
const state: components["schemas"]["State"] | undefined = status?.state;
deepStrictEqual([state, status?.active, status?.bytes_transferred], ["FINISHED", false, data.length]);

const { error } = await client.DELETE("/stream/{id}", { params });
strictEqual(typeof error === "object" && error.name, "SessionNotFoundError");
console.log("transferred");
