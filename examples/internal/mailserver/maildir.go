package mailserver

import (
	"cmp"
	"errors"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
)

// loadMaildir reads what has been delivered to a Maildir, seen by a client (cur) or not (new).
func loadMaildir(folder string, logger *slog.Logger) ([]message, error) {
	var paths []string
	for _, sub := range []string{"cur", "new"} {
		delivered, err := list(filepath.Join(folder, sub))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		paths = append(paths, delivered...)
	}
	// A name begins with the time of delivery.
	slices.SortStableFunc(
		paths, func(a, b string) int { return cmp.Compare(filepath.Base(a), filepath.Base(b)) },
	)
	return loadFiles(paths, logger), nil
}

// maildirFlags reads the flags after ":2," in the name of a file in a Maildir.
func maildirFlags(name string) []imap.Flag {
	_, letters, _ := strings.Cut(name, ":2,")
	var flags []imap.Flag
	for _, letter := range letters {
		switch letter {
		case 'D':
			flags = append(flags, imap.FlagDraft)
		case 'F':
			flags = append(flags, imap.FlagFlagged)
		case 'P':
			flags = append(flags, imap.FlagForwarded)
		case 'R':
			flags = append(flags, imap.FlagAnswered)
		case 'S':
			flags = append(flags, imap.FlagSeen)
		case 'T':
			flags = append(flags, imap.FlagDeleted)
		}
	}
	return flags
}
