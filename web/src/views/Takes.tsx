import { withQuery } from "../api";
import { ErrorNote, Heading, Pager } from "../parts/bits";
import { TakeRows } from "../parts/TakeRows";
import { useResource } from "../resource";
import { Link, usePlace } from "../router";
import { ENDS, type Take } from "../types";

const SIZE = 25;
const LOOK_MS = 2000;

export function Takes({ page }: { page: number }) {
  const shot = usePlace().query.get("shot") ?? undefined;
  const takes = useResource<Take[]>(withQuery("/api/jobs", { page, per_page: SIZE, shot_id: shot }), (rows) =>
    rows.every((take) => ENDS.includes(take.status)) ? null : LOOK_MS,
  );
  return (
    <>
      <Heading title="Takes">{shot ? "Takes of one shot" : "Takes"}</Heading>
      {shot && <Link to="/takes">Takes of all shots</Link>}
      {takes.error && <ErrorNote error={takes.error} again={takes.reload} />}
      {takes.data?.length === 0 && <p className="empty">No takes yet. Open a shot and give it a voice.</p>}
      {takes.data && <TakeRows takes={takes.data} gone={takes.reload} withShot />}
      <Pager page={page} size={SIZE} count={takes.count} to={(number) => withQuery("/takes", { page: number, shot })} />
    </>
  );
}
