// Package readme reads the tables of README files, so that tests can compare them with the code.
package readme

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Table returns the rows of the table in the file whose first column has this head, cell by cell.
func Table(t *testing.T, path, head string) [][]string {
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var rows [][]string
	inside := false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			inside = false
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case cells[0] == head:
			inside = true
		case inside && !strings.HasPrefix(line, "|-"):
			rows = append(rows, cells)
		}
	}
	require.NotEmpty(t, rows, "%s has no table %q", path, head)
	return rows
}

// Rows returns the rows of a [Table] by their first cell, without its backquotes. Rows whose first
// cell is empty are left out. Two rows with the same first cell fail the test.
func Rows(t *testing.T, path, head string) map[string][]string {
	rows := make(map[string][]string)
	for _, row := range Table(t, path, head) {
		if name := strings.Trim(row[0], "`"); name != "" {
			assert.NotContains(t, rows, name, "it has two rows in %s", path)
			rows[name] = row[1:]
		}
	}
	return rows
}

var quoted = regexp.MustCompile("`([^`]+)`")

// Names returns what is between backquotes.
func Names(text string) []string {
	var names []string
	for _, found := range quoted.FindAllStringSubmatch(text, -1) {
		names = append(names, found[1])
	}
	return names
}

// CheckSettings compares the table "Setting" of the file with the options. The test fails if a
// field has no row, if a row has no field, or if the text of an exported error of the package is
// not in the file. It returns the rows.
func CheckSettings(t *testing.T, path string, options any) map[string][]string {
	rows := Rows(t, path, "Setting")
	fields := make(map[string]bool)
	for field := range reflect.TypeOf(options).Fields() {
		fields[field.Name] = true
		assert.Contains(t, rows, field.Name, "a field of Options without a row in %s", path)
	}
	for name := range rows {
		assert.True(t, fields[name], "%s has a row of %s, which is no field of Options", path, name)
	}
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	for _, answer := range answers(t, filepath.Dir(path)) {
		assert.Contains(t, string(text), answer, "an answer that is not in %s", path)
	}
	return rows
}

var answer = regexp.MustCompile(
	`(?s)\bErr\w+ += &imap\.Error\{[^}]*?Text: +"([^"]+)"`,
)

// answers are the texts of the exported errors in the files of the folder.
func answers(t *testing.T, folder string) []string {
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	require.NoError(t, err)
	var texts []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		code, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, found := range answer.FindAllSubmatch(code, -1) {
			texts = append(texts, string(found[1]))
		}
	}
	slices.Sort(texts)
	return texts
}
