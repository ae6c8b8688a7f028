// supabase-js, unmodified, moved from outside: one JSON line in, one JSON line out.
import { createInterface } from "node:readline";
import { createClient } from "@supabase/supabase-js";

const client = createClient(process.argv[2], "sb_publishable_made_up", { auth: { persistSession: false } });

/** Throw what the client reports instead of throwing. */
function checked({ data, error }) {
  if (error) throw error;
  return data;
}

const orders = {
  async sign_in() {
    const { session } = checked(await client.auth.signInAnonymously());
    return { token: session.access_token, user_id: session.user.id, guest: session.user.is_anonymous };
  },
  async refresh() {
    return { token: checked(await client.auth.refreshSession()).session.access_token };
  },
  async user() {
    return { user_id: checked(await client.auth.getUser()).user.id };
  },
  async claims() {
    return { claims: checked(await client.auth.getClaims()).claims };
  },
  async sign_out() {
    const { error } = await client.auth.signOut();
    if (error) throw error;
    return {};
  },
  async invoke({ name, body }) {
    const { data, error } = await client.functions.invoke(name, { body });
    if (!error) return { answer: data };
    const answer = await error.context.json();
    return { error: answer.error, status: error.context.status, code: answer.code };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line);
  console.log(JSON.stringify(await orders[order.do](order)));
}
process.exit(0); // the client's timers are of no use any more
