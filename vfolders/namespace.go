package vfolders

import (
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
)

// roots returns the names of the roots of the namespaces that the session announces, such as
// "#users" of "#users/", with their delimiters. There the client finds a folder even when it sees
// nothing below it: NAMESPACE has told it of the name.
func (s *session) roots() map[string]rune {
	roots := make(map[string]rune)
	inner, ok := s.Session.(interface {
		Namespace() (*imap.NamespaceData, error)
	})
	if !ok {
		return roots
	}
	data, err := inner.Namespace()
	if err != nil || data == nil {
		return roots // then nothing is announced to the client either
	}
	for _, namespace := range slices.Concat(data.Personal, data.Other, data.Shared) {
		if namespace.Delim == 0 {
			continue
		}
		root, ok := strings.CutSuffix(namespace.Prefix, string(namespace.Delim))
		if ok && s.options.covers(root, namespace.Delim) {
			roots[root] = namespace.Delim
		}
	}
	return roots
}
