// Node with fastify and the official driver. Three plain writes per DM, the DMs of one POST at the
// same time; with PEER_BULK=1 three bulk writes per POST. A crash between them loses counts.

import cluster from "node:cluster";
import { createHmac, timingSafeEqual } from "node:crypto";
import process from "node:process";

import Fastify from "fastify";
import { MongoClient } from "mongodb";

const { META_APP_SECRET, MONGODB_DB, MONGODB_URI, PEER_BULK, PORT, WEB_CONCURRENCY } = process.env;
const DUPLICATE = 11000;

async function serve() {
  const client = await new MongoClient(MONGODB_URI).connect();
  const db = client.db(MONGODB_DB);
  const [receipts, accounts, cache] = ["receipts", "instagram_accounts", "stats_cache"].map((name) =>
    db.collection(name),
  );
  const app = Fastify();
  // The signature covers the bytes as they came.
  app.addContentTypeParser("application/json", { parseAs: "buffer" }, (request, body, done) =>
    done(null, body),
  );

  app.post("/api/webhooks/instagram", async (request, reply) => {
    const digest = createHmac("sha256", META_APP_SECRET).update(request.body).digest("hex");
    const expected = Buffer.from(`sha256=${digest}`);
    const given = Buffer.from(String(request.headers["x-hub-signature-256"]));
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
      return reply.code(401).send();
    }
    const items = JSON.parse(request.body).entry.flatMap((entry) =>
      entry.messaging.map((item) => ({ item, account: entry.id })),
    );
    await (PEER_BULK ? countTogether(items) : Promise.all(items.map(countOne)));
    return reply.code(200).send();
  });

  async function countOne({ account, item }) {
    try {
      await receipts.insertOne({ _id: item.message.mid });
    } catch (error) {
      if (error.code === DUPLICATE) return;
      throw error;
    }
    const write = increments(item);
    await accounts.updateOne({ instagramId: account }, write.account, { upsert: true });
    await cache.updateOne({ _id: "global" }, { $inc: write.totals }, { upsert: true });
  }

  async function countTogether(items) {
    const rows = items.map(({ item }) => ({ _id: item.message.mid }));
    const known = new Set();
    try {
      await receipts.insertMany(rows, { ordered: false });
    } catch (error) {
      if (error.code !== DUPLICATE) throw error;
      for (const { index } of error.writeErrors) known.add(index);
    }
    const fresh = items.filter((_, index) => !known.has(index));
    if (fresh.length === 0) return;
    const totals = {};
    const operations = fresh.map(({ account, item }) => {
      const write = increments(item);
      for (const [name, n] of Object.entries(write.totals)) totals[name] = (totals[name] ?? 0) + n;
      return {
        updateOne: { filter: { instagramId: account }, update: write.account, upsert: true },
      };
    });
    await accounts.bulkWrite(operations, { ordered: false });
    await cache.updateOne({ _id: "global" }, { $inc: totals }, { upsert: true });
  }

  await app.listen({ port: Number(PORT), host: "127.0.0.1" });
}

function increments(item) {
  const when = new Date(item.timestamp);
  return item.message.is_echo
    ? {
        account: { $inc: { dmUsed: 1, monthlyDmUsed: 1 }, $max: { lastDMSent: when } },
        totals: { dmsSent: 1 },
      }
    : {
        account: { $inc: { dmReceived: 1 }, $max: { lastDMReceived: when } },
        totals: { dmsReceived: 1 },
      };
}

const workers = Number(WEB_CONCURRENCY ?? 1);
if (workers > 1 && cluster.isPrimary) {
  for (let n = 0; n < workers; n += 1) cluster.fork();
} else {
  await serve();
}
