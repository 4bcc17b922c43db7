package imapgate_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// documents maps the path of each Markdown file to its text.
func documents(t *testing.T) map[string]string {
	texts := make(map[string]string)
	require.NoError(t, filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".md") {
			return err
		}
		text, err := os.ReadFile(path)
		texts[path] = string(text)
		return err
	}))
	require.Greater(t, len(texts), 4)
	return texts
}

// The README stays short.
func TestReadmeIsShort(t *testing.T) {
	assert.LessOrEqual(t, len(strings.Fields(documents(t)["README.md"])), 1200, "words of README.md")
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// Every link of a document leads to a file that exists, and to a heading in it.
func TestLinksOfDocuments(t *testing.T) {
	texts := documents(t)
	for path, text := range texts {
		for _, found := range link.FindAllStringSubmatch(text, -1) {
			file, heading, _ := strings.Cut(found[1], "#")
			if strings.Contains(file, "://") {
				continue
			}
			target := path
			if file != "" {
				target = filepath.Join(filepath.Dir(path), file)
			}
			assert.FileExists(t, target, "%s links to %s", path, found[1])
			if heading != "" {
				assert.Contains(t, headings(texts[target]), heading, "%s links to %s", path, found[1])
			}
		}
	}
}

var (
	title      = regexp.MustCompile(`(?m)^#+ (.*)$`)
	notInALink = regexp.MustCompile(`[^\pL\pN _-]`)
)

// headings returns the anchors that GitHub gives to the headings of a document.
func headings(text string) []string {
	var anchors []string
	for _, found := range title.FindAllStringSubmatch(text, -1) {
		anchor := notInALink.ReplaceAllString(strings.ToLower(found[1]), "")
		anchors = append(anchors, strings.ReplaceAll(anchor, " ", "-"))
	}
	return anchors
}

var (
	goTest  = regexp.MustCompile(`go test [^\n|` + "`" + `]*`)
	pattern = regexp.MustCompile(`-(run|bench|fuzz) '?([^\s']+)`)
	folder  = regexp.MustCompile(`\./([a-z/]+)\b`)
	goRun   = regexp.MustCompile(`go run \./([a-z/]+)`)
	script  = regexp.MustCompile("`(\\.ci/[a-z]+)`")
)

// The commands in the documents work: each pattern matches a test, and each program exists.
func TestCommandsOfDocuments(t *testing.T) {
	commands := 0
	for path, text := range documents(t) {
		for _, command := range goTest.FindAllString(text, -1) {
			commands++
			for _, found := range pattern.FindAllStringSubmatch(command, -1) {
				if found[2] != "^$" {
					assert.True(t, hasTest(t, found[1], found[2], command), "%s: %s", path, command)
				}
			}
		}
		for _, found := range goRun.FindAllStringSubmatch(text, -1) {
			assert.FileExists(t, filepath.Join(found[1], "main.go"), path)
		}
		for _, found := range script.FindAllStringSubmatch(text, -1) {
			assert.FileExists(t, found[1], path)
		}
	}
	assert.Greater(t, commands, 5)
}

// hasTest reports whether the pattern of a flag matches a test, benchmark or fuzz target in the
// folders of the command.
func hasTest(t *testing.T, flag, pattern, command string) bool {
	prefix := map[string]string{"run": "Test", "bench": "Benchmark", "fuzz": "Fuzz"}[flag]
	declaration := regexp.MustCompile(`(?m)^func (` + prefix + `\w*)\(`)
	name := regexp.MustCompile(pattern)
	for _, dir := range folder.FindAllStringSubmatch(command, -1) {
		files, err := filepath.Glob(filepath.Join(dir[1], "*_test.go"))
		require.NoError(t, err)
		for _, file := range files {
			code, err := os.ReadFile(file)
			require.NoError(t, err)
			for _, found := range declaration.FindAllSubmatch(code, -1) {
				if name.Match(found[1]) {
					return true
				}
			}
		}
	}
	return false
}

// packages are the packages that users import and whose documentation they read.
var packages = []string{".", "limits", "idle", "vfolders", "copymeta"}

// The comment of a field has at most three lines. Anything longer belongs above it.
func TestCommentsOfFieldsAreShort(t *testing.T) {
	fields := 0
	for _, dir := range append(packages, "limits/redislimits", "limits/promlimits") {
		set := token.NewFileSet()
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		require.NoError(t, err)
		for _, path := range files {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(set, path, nil, parser.ParseComments)
			require.NoError(t, err)
			ast.Inspect(file, func(node ast.Node) bool {
				spec, ok := node.(*ast.TypeSpec)
				if !ok || !spec.Name.IsExported() {
					return true
				}
				structure, ok := spec.Type.(*ast.StructType)
				if !ok {
					return true
				}
				for _, field := range structure.Fields.List {
					name := file.Name.Name + "." + spec.Name.Name + "."
					if len(field.Names) > 0 {
						name += field.Names[0].Name
					}
					fields++
					if field.Doc != nil {
						assert.LessOrEqual(t, len(field.Doc.List), 3, "lines of the comment of %s", name)
					}
				}
				return true
			})
		}
	}
	assert.Greater(t, fields, 50)
}
