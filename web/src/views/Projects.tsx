import { withQuery } from "../api";
import { moment } from "../format";
import { ErrorNote, Heading, Pager } from "../parts/bits";
import { useResource } from "../resource";
import { Link } from "../router";
import { useSignal } from "../signal";
import type { Project } from "../types";
import { hidden, remove } from "../undo";

const SIZE = 25;

export function Projects({ page }: { page: number }) {
  const projects = useResource<Project[]>(withQuery("/v1/projects", { page, per_page: SIZE }));
  const away = useSignal(hidden);
  const shown = projects.data?.filter((project) => !away.has(`/api/projects/${project.project_id}`));
  return (
    <>
      <Heading title="Projects">Projects</Heading>
      {projects.error && <ErrorNote error={projects.error} again={projects.reload} />}
      {shown?.length === 0 && <p className="empty">No projects yet. Each shot you drop begins or names one.</p>}
      <ul className="plain rows">
        {shown?.map((project) => (
          <li key={project.project_id} className="take">
            <div className="grow">
              <Link to={withQuery("/", { project: project.project_id })} className="cut title">
                {project.project_name}
              </Link>
              <p className="small muted">
                {moment(project.created_at)}
                {project.project_identity_type === "multi_identity" ? " · several actors" : ""}
              </p>
            </div>
            <button
              type="button"
              className="quiet"
              aria-label={`Delete project ${project.project_name}`}
              onClick={() => remove(`/api/projects/${project.project_id}`, `Project ${project.project_name}`, projects.reload)}
            >
              Delete
            </button>
          </li>
        ))}
      </ul>
      <Pager page={page} size={SIZE} count={projects.count} to={(number) => withQuery("/projects", { page: number })} />
    </>
  );
}
