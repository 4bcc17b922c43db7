package imapgate_test

import (
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/readme"
	"github.com/imapgate/imapgate/limits"
)

// exampleFiles returns the files of the examples in a folder.
func exampleFiles(t *testing.T, folder string) []string {
	files, err := filepath.Glob(filepath.Join(folder, "example*_test.go"))
	require.NoError(t, err)
	return files
}

// exampleCode returns the code of the examples in a folder.
func exampleCode(t *testing.T, folder string) string {
	var all strings.Builder
	for _, file := range exampleFiles(t, folder) {
		code, err := os.ReadFile(file)
		require.NoError(t, err)
		all.Write(code)
	}
	return all.String()
}

// The Go code of each README is, line by line, in an example of its package, so it compiles.
func TestReadmeCodeCompiles(t *testing.T) {
	all := 0
	for path, text := range documents(t) {
		examples := exampleCode(t, filepath.Dir(path))
		for _, block := range strings.Split(text, "```go\n")[1:] {
			all++
			code, _, _ := strings.Cut(block, "```")
			code = "\t" + strings.ReplaceAll(strings.TrimSpace(code), "\n", "\n\t")
			code = strings.ReplaceAll(code, "\n\t\n", "\n\n")
			assert.True(t, strings.Contains(examples, code), "%s has\n%s", path, code)
		}
	}
	assert.Greater(t, all, 3)
}

// The first paragraph of each package comment is short. The comment has code, which is also in an
// example.
func TestPackageCommentsHaveCodeThatCompiles(t *testing.T) {
	for _, dir := range packages {
		comment := packageComment(t, dir)
		examples := exampleCode(t, dir)
		first, _, _ := strings.Cut(comment, "\n//\n")
		assert.LessOrEqual(t, strings.Count(first, "\n"), 2, "lines of the first paragraph of %s", dir)
		lines := 0
		for line := range strings.Lines(comment) {
			if code, ok := strings.CutPrefix(line, "//\t"); ok {
				assert.True(t, strings.Contains(examples, "\t"+code), "%s: %s", dir, code)
				lines++
			}
		}
		assert.NotZero(t, lines, dir)
	}
}

// packageComment returns the package comment of a folder as it stands in the file.
func packageComment(t *testing.T, dir string) string {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		require.NoError(t, err)
		if file.Doc == nil {
			continue
		}
		var lines []string
		for _, line := range file.Doc.List {
			lines = append(lines, line.Text)
		}
		return strings.Join(lines, "\n") + "\n"
	}
	require.Fail(t, "no package comment in "+dir)
	return ""
}

// Each example compiles when somebody copies it into a module of their own: it needs no other file
// and no internal package.
func TestExamplesCompileForAStranger(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs the compiler")
	}
	root, err := os.Getwd()
	require.NoError(t, err)
	dir := t.TempDir()
	count := 0
	for _, folder := range packages {
		for _, file := range exampleFiles(t, folder) {
			code, err := os.ReadFile(file)
			require.NoError(t, err)
			name := strings.ReplaceAll(strings.TrimSuffix(file, ".go"), string(filepath.Separator), "_")
			copied := filepath.Join(dir, name, "stranger_test.go")
			require.NoError(t, os.Mkdir(filepath.Dir(copied), 0o700))
			require.NoError(t, os.WriteFile(copied, code, 0o600))
			count++
		}
	}
	require.Greater(t, count, 4)

	mod, err := os.ReadFile("go.mod")
	require.NoError(t, err)
	own := strings.Replace(string(mod), "github.com/imapgate/imapgate", "example.com/stranger", 1) +
		"\nrequire github.com/imapgate/imapgate v0.0.0\n" +
		"replace github.com/imapgate/imapgate => " + root + "\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte(own), 0o600))
	sum, err := os.ReadFile("go.sum")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.sum"), sum, 0o600))

	vet := exec.Command("go", "vet", "-assign", "./...") // one quick check, after all have compiled
	vet.Dir = dir
	vet.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
	output, err := vet.CombinedOutput()
	assert.NoError(t, err, string(output))
}

// The settings in README.md agree with the declarations of limits. The details that it omits, such
// as "then a BYE", are in the table of limits/README.md.
func TestReadmeSettings(t *testing.T) {
	all := readme.Rows(t, "limits/README.md", "Setting")
	declared := make(map[string]limits.Declaration)
	for _, setting := range limits.Declared() {
		declared[setting.Option] = setting
	}
	rows := readme.Rows(t, "README.md", "Setting")
	assert.Len(t, rows, 10)
	for name, row := range rows {
		require.Contains(t, all, name)
		most, own, _ := strings.Cut(row[0], ", ")
		assert.Equal(t, all[name][1], most, "the default of %s", name)
		for words, suffix := range map[string]string{"one user ": "PerUser", "one address ": "PerIP"} {
			if number, ok := strings.CutPrefix(own, words); ok {
				assert.Equal(t, all[name+suffix][1], number, "the default of %s", name+suffix)
			}
		}
		answer := declared[name].Answer
		if !strings.HasPrefix(row[1], "`BYE ") { // these have the words of the table of limits
			assert.Contains(t, row[1], answer, name)
		}
		for _, said := range readme.Names(row[1]) {
			assert.Contains(t, all[name][2], said, name)
		}
	}
}
