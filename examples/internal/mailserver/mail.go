package mailserver

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

var (
	errNotMail = errors.New(
		"it takes a folder of .eml files, a Maildir with cur and new, or an mbox file " +
			"that begins with a From_ line",
	)
	errNoMail = errors.New("there is no message in it that can be read")
)

// loadMail returns the mail at the path, oldest first if the files' names tell. A file that is not
// a message is named in the log.
func loadMail(path string, logger *slog.Logger) ([]message, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	var mail []message
	switch {
	case info.Mode().IsRegular():
		mail, err = loadMbox(path, info.ModTime(), logger)
	case !info.IsDir():
		err = errNotMail
	case isDir(filepath.Join(path, "cur")) || isDir(filepath.Join(path, "new")):
		mail, err = loadMaildir(path, logger)
	default:
		mail, err = loadFolder(path, logger)
	}
	if err == nil && len(mail) == 0 {
		err = errNoMail
	}
	return mail, err
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// loadFolder reads the .eml files in a folder.
func loadFolder(folder string, logger *slog.Logger) ([]message, error) {
	paths, err := list(folder)
	if err != nil {
		return nil, err
	}
	paths = slices.DeleteFunc(
		paths, func(path string) bool { return !strings.EqualFold(filepath.Ext(path), ".eml") },
	)
	if len(paths) == 0 {
		return nil, errNotMail
	}
	return loadFiles(paths, logger), nil
}

// list returns the files in the folder that are not hidden, in the order of their names.
func list(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), ".") {
			paths = append(paths, filepath.Join(folder, entry.Name()))
		}
	}
	return paths, nil
}

// loadFiles reads a message from each of the files, and logs those that it cannot.
func loadFiles(paths []string, logger *slog.Logger) []message {
	var mail []message
	for _, path := range paths {
		m, err := loadFile(path)
		if err != nil {
			skipped(logger, path, 0, err)
			continue
		}
		m.flags = maildirFlags(filepath.Base(path))
		mail = append(mail, m)
	}
	return mail
}

func loadFile(path string) (message, error) {
	info, err := os.Stat(path)
	if err != nil {
		return message{}, err
	}
	if !info.Mode().IsRegular() {
		return message{}, errors.New("it is not a file")
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return message{}, err
	}
	return newMessage(raw, info.ModTime())
}

// skipped logs that a file is left out, or, if number is not 0, that message of it.
func skipped(logger *slog.Logger, path string, number int, err error) {
	attrs := []any{"file", path}
	if number > 0 {
		attrs = append(attrs, "message", number)
	}
	logger.Warn("mail left out", append(attrs, "reason", err)...)
}
