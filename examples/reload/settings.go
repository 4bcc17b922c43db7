package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"go.yaml.in/yaml/v3"

	"github.com/imapgate/imapgate"
	"github.com/imapgate/imapgate/copymeta"
	"github.com/imapgate/imapgate/idle"
	"github.com/imapgate/imapgate/limits"
	"github.com/imapgate/imapgate/vfolders"
)

// settings is the content of the file. A package that it does not name is not used. Limits that it
// does not name are the defaults.
type settings struct {
	Limits  *limits.Options
	Idle    *idle.Options
	Folders *vfolders.Options
	Copy    *copymeta.Options
}

// errHalfWritten is the error for a file that another program is just writing. Without it, such a
// file would be taken for one with fewer settings.
var errHalfWritten = errors.New(
	"the file is empty or does not end with a line break: is it only half written?",
)

// load reads a file and sets all options except Server. A key that it does not know is an error. A
// file that was cut off between two lines looks whole: write a new one beside it, and move that
// over the old one.
func load(path string) (*imapgate.Options, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if !bytes.HasSuffix(text, []byte("\n")) {
		return nil, fmt.Errorf("%s: %w", path, errHalfWritten)
	}
	s := settings{Limits: limits.DefaultOptions()} // the file needs only what differs
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&s); err != nil && !errors.Is(err, io.EOF) { // EOF: only comments
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &imapgate.Options{Limits: s.Limits, Idle: s.Idle, Folders: s.Folders, Copy: s.Copy}, nil
}
