package main

import (
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
)

// printTable prints a Markdown table that is readable as plain text.
func printTable(w io.Writer, acts []act) error {
	rows := [][3]string{{"", unlimited.String(), limited.String()}}
	for _, act := range acts {
		rows = append(rows, [3]string{"**" + act.title + "**"})
		without, with := act.results[unlimited], act.results[limited]
		for i, fact := range without.facts {
			rows = append(rows, [3]string{fact.name, fact.value, with.facts[i].value})
		}
		name := "ordinary user's " + act.command + ": "
		rows = append(
			rows,
			[3]string{
				name + "answered", strconv.Itoa(without.waits.answered()), strconv.Itoa(with.waits.answered()),
			},
		)
		for _, q := range []struct {
			name string
			q    float64
		}{{"wait, p50", 0.50}, {"wait, p99", 0.99}, {"longest wait", 1}} {
			rows = append(
				rows,
				[3]string{
					name + q.name, without.waits.quantile(q.q).String(), with.waits.quantile(q.q).String(),
				},
			)
		}
	}
	var widths [3]int
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len(cell))
		}
	}
	var text strings.Builder
	fmt.Fprintf(&text, "\n%s\n\n", model())
	for i, row := range rows {
		fmt.Fprintf(
			&text, "| %-*s | %*s | %*s |\n", widths[0], row[0], widths[1], row[1], widths[2], row[2],
		)
		if i == 0 {
			fmt.Fprintf(
				&text, "|%s|%s:|%s:|\n", strings.Repeat("-", widths[0]+2), strings.Repeat("-", widths[1]+1),
				strings.Repeat("-", widths[2]+1),
			)
		}
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// model describes what the numbers depend on.
func model() string {
	return fmt.Sprintf(
		"A store of %d workers, %d ms for each message; %d ms of CPU for each password check; "+
			"%d CPUs for server and clients",
		workers, readCost.Milliseconds(), checkCost.Milliseconds(), runtime.GOMAXPROCS(0),
	)
}
