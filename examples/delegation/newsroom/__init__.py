"""Agents that plan, write and review short articles."""

from newsroom.desk import Article, publish
from newsroom.planner import Planner
from newsroom.writer import make_writer

__all__ = ["Article", "Planner", "make_writer", "publish"]
