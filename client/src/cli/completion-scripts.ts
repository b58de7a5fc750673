/**
 * What makes a shell ask `client completion words` for each word that is typed. The word is in an environment variable,
 * as it may be empty or a flag. A cluster that does not answer must not hold up a prompt: nothing is offered then.
 */

/** Long enough to start Node and ask once, short enough for someone who waits. */
const query = 'completion words --timeout 2s --';

/** Lines of the answer that are no candidates: the others are paths; local paths fit too. */
export const pathsLine = ':paths';
export const localLine = ':local';

export const shells = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof shells)[number];

export function completionScript(shell: Shell, program: string): string {
  return scripts[shell](program);
}

const scripts: Readonly<Record<Shell, (program: string) => string>> = {
  // Readline quotes names of files, and takes no space behind a directory.
  bash: (program) => `_holdfast_${program}() {
  local word=\${COMP_WORDS[COMP_CWORD]} line
  COMPREPLY=()
  while IFS= read -r line; do
    case $line in
      ${pathsLine}) compopt -o filenames 2>/dev/null ;;
      ${localLine}) while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "$word") ;;
      *) COMPREPLY+=("$line") ;;
    esac
  done < <(HOLDFAST_WORD=$word "\${COMP_WORDS[0]}" ${query} "\${COMP_WORDS[@]:1:COMP_CWORD-1}" 2>/dev/null)
  if [[ \${#COMPREPLY[@]} -eq 1 && \${COMPREPLY[0]} == */ ]]; then compopt -o nospace 2>/dev/null; fi
}
complete -F _holdfast_${program} ${program}
`,
  zsh: (program) => `#compdef ${program}
_holdfast_${program}() {
  local line
  local -a found directories
  while IFS= read -r line; do
    case $line in
      ${pathsLine}) ;;
      ${localLine}) _files ;;
      */) directories+=("$line") ;;
      *) found+=("$line") ;;
    esac
  done < <(HOLDFAST_WORD=$PREFIX "\${words[1]}" ${query} "\${(@Q)words[2,CURRENT-1]}" 2>/dev/null)
  compadd -- "\${found[@]}"
  compadd -S '' -- "\${directories[@]}"
}
compdef _holdfast_${program} ${program}
`,
  fish: (program) => `function __holdfast_${program}
    set -l before (commandline -opc)
    set -lx HOLDFAST_WORD (commandline -ct)
    for line in ($before[1] ${query} $before[2..-1] 2>/dev/null)
        switch $line
            case ${pathsLine}
            case ${localLine}
                __fish_complete_path (commandline -ct)
            case '*'
                echo -- $line
        end
    end
end
complete -c ${program} -f -a '(__holdfast_${program})'
`,
};
